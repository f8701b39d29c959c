/* SPDX-License-Identifier: MIT */
/**
 * @file espimage.h
 * libespimage: ESP8266 firmware for the new bootloader, from ELF to image and back.
 *
 *     ELF bytes -> firmware -> link (which slot?) -> image bytes -> report (who accepts it?)
 *
 * Memory in, memory out: no function opens a file, prints, or keeps global state; all can be
 * called from several threads at once on different objects.
 *
 * Options: a struct of options begins with its size, so that it can grow without breaking programs
 * that are already compiled. Initialise it with its macro, then set what differs:
 *
 *     struct espimage_verify_options options = ESPIMAGE_VERIFY_OPTIONS_INIT;
 *     options.app = 2;
 *
 * or, in C, `{.size = sizeof options, .app = 2}`. In every option 0 means the default. New members
 * take reserved bytes or come at the end; a library that lacks a member that is not 0 fails with
 * ESPIMAGE_ERR_USAGE rather than ignore it.
 *
 * ABI: until 1.0 each minor version has its own SONAME (libespimage.so.0.1) and symbol version
 * (ESPIMAGE_0.1); patch versions of one minor version are compatible both ways for what both have.
 */
#ifndef ESPIMAGE_ESPIMAGE_H
#define ESPIMAGE_ESPIMAGE_H

#include <espimage/classify.h>
#include <espimage/error.h>
#include <espimage/firmware.h>
#include <espimage/flash.h>
#include <espimage/flash_image.h>
#include <espimage/identify.h>
#include <espimage/image.h>
#include <espimage/parameters.h>
#include <espimage/verify.h>
#include <espimage/version.h>

#endif
