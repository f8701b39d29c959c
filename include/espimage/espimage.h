/* SPDX-License-Identifier: MIT */
/**
 * @file espimage.h
 * libespimage: ESP8266 firmware for the new bootloader, from ELF to image and back.
 *
 *     ELF bytes -> firmware -> link (which slot?) -> image bytes -> report (who accepts it?)
 *
 * Memory in, memory out: no function opens a file, prints, or keeps global state; all can be
 * called from several threads at once on different objects.
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
