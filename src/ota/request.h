/* SPDX-License-Identifier: MIT */
/* The text of a request: which slot it means, and what the SDK makes of it. Forms seen in the
 * field:
 *
 *     /user1.bin   /User2.bin   /espup/user2.bin   /user2.2048.new.5.bin
 *     /x?action=download_rom&filename=user1.bin
 */
#ifndef OTA_REQUEST_H
#define OTA_REQUEST_H

#include <stddef.h>

/* Bytes of the SDK's buffer for a request; its HEAD has to fit, with a zero byte. */
#define OTA_REQUEST_ROOM 512

/* 1, 2, or 0 when the last component of `name` names no slot. A name is that of one slot when it
 * contains user1 or user2 (in any letter case, no further digit behind it), not both, and either
 * ends in .bin or has no extension. */
int ota_slot_of_name(const char *name);

/* The slot of the first that names one: the path, or a value of the query. %XX is decoded. */
int ota_slot_of_target(const char *target, size_t size);

/* The HEAD that the SDK makes of the text of a GET: in all of it, path included, "GET" becomes
 * "HEAD" and "keep-alive" becomes "close". Returns its length, as snprintf() does. */
size_t ota_head_of_get(const char *get, char *head, size_t room);

/* Which of the two is in `text`: "GET" or "keep-alive"; or NULL. A path with it is another path in
 * HEAD. */
const char *ota_replaced_in(const char *text);

#endif
