/* SPDX-License-Identifier: MIT */
/* What the SDK calls, and how the parts of the firmware meet. */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include "c_types.h"

/* The number that a macro stands for, as a text. */
#define TEXT(number)  TEXT_(number)
#define TEXT_(number) #number

/* Called by the SDK: first the table, then the rest. */
void user_pre_init(void);
void user_init(void);

enum upgrade_state { UPGRADE_NONE, UPGRADE_RUNS, UPGRADE_FAILED };

enum upgrade_state upgrade_state(void);
/* 1 or 2: the slot that runs. */
uint8 upgrade_slot(void);
/* Fetches the image of the other slot from this computer; does nothing while one is on its way. */
void upgrade_begin(const uint8 ip[4]);

/* Listens on the page's and the trigger's port. */
void web_start(void);

#endif
