/* SPDX-License-Identifier: MIT */
/* Which slot a request means. Forms seen in the field:
 *
 *     /user1.bin   /User2.bin   /espup/user2.bin   /user2.2048.new.5.bin
 *     /x?action=download_rom&filename=user1.bin
 */
#ifndef OTA_REQUEST_H
#define OTA_REQUEST_H

/* 1, 2, or 0 when the last component of `name` names no slot. A name is that of one slot when it
 * contains user1 or user2 (in any letter case, no further digit behind it), not both, and either
 * ends in .bin or has no extension. */
int ota_slot_of_name(const char *name);

/* The slot of the first that names one: the path, or a value of the query. Nothing is decoded. */
int ota_slot_of_target(const char *target);

#endif
