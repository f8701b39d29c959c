/* SPDX-License-Identifier: MIT */
/* The settings. `make SSID=... PASSWORD=... STATION=1 MAP=... BUILD=...` sets them from outside. */
#ifndef USER_CONFIG_H
#define USER_CONFIG_H

/* 0: the device is an access point of this name; 1: it joins the network of this name. */
#ifndef STATION
#define STATION 0
#endif
#ifndef SSID
#define SSID "esp8266-ota"
#endif
/* Empty: an open network; otherwise 8 to 63 characters. */
#ifndef PASSWORD
#define PASSWORD ""
#endif

#ifndef BUILD
#define BUILD 1
#endif

/* The code of the flash map, as `espimagetool maps` lists it: 2 to 6. */
#ifndef FLASH_MAP
#define FLASH_MAP 2
#endif

#define PAGE_PORT    80
#define TRIGGER_PORT 88
/* Where the computer that pulls the trigger serves the images. */
#define IMAGE_PORT 8888
/* For an entire upgrade. The SDK reports most failures only when this time is over. */
#define UPGRADE_SECONDS 120

#endif
