/* SPDX-License-Identifier: MIT */
/* SDK 3.x asks for the partition table before anything else. The sector of the RF calibration is in
 * it, so user_rf_cal_sector_set() of older SDKs is not needed. */
#include "c_types.h"
#include "osapi.h"
#include "user_interface.h"

#include "firmware.h"
#include "partitions.h"

static const partition_item_t partitions[] = {
    {SYSTEM_PARTITION_BOOTLOADER, 0, SLOT_1},
    {SYSTEM_PARTITION_OTA_1, SLOT_1, SLOT_SIZE},
    {SYSTEM_PARTITION_OTA_2, SLOT_2, SLOT_SIZE},
    {SYSTEM_PARTITION_RF_CAL, RF_CALIBRATION, 0x1000},
    {SYSTEM_PARTITION_PHY_DATA, PHY_DATA, 0x1000},
    {SYSTEM_PARTITION_SYSTEM_PARAMETER, SYSTEM_PARAMETER, 0x3000},
};

void ICACHE_FLASH_ATTR user_pre_init(void)
{
    if (!system_partition_table_regist(partitions, sizeof partitions / sizeof *partitions,
                                       FLASH_MAP)) {
        os_printf("the partition table does not suit this flash\n");
        while (1) {
        }
    }
}
