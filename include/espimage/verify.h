/* SPDX-License-Identifier: MIT */
/**
 * @file verify.h
 * Who would accept and boot this? Every demand that devices make of an image, one named rule each.
 *
 * The demands are those of Espressif's bootloader 1.6, of rBoot and of the upgrade library in the
 * NONOS SDK. A rule that no consumer demands is kept for what it reveals and only warns.
 */
#ifndef ESPIMAGE_VERIFY_H
#define ESPIMAGE_VERIFY_H

#include <espimage/identify.h>
#include <espimage/image.h>

ESPIMAGE_BEGIN

enum espimage_consumer {
    ESPIMAGE_CONSUMER_BOOT,  /**< Espressif's second-stage bootloader 1.2 and later */
    ESPIMAGE_CONSUMER_RBOOT, /**< rBoot */
    ESPIMAGE_CONSUMER_OTA2,  /**< upgrade library of SDK 2.x */
    ESPIMAGE_CONSUMER_OTA3,  /**< upgrade library of SDK 3.x */
    ESPIMAGE_CONSUMER_COUNT
};

/** Short ("boot", "rboot", "ota2", "ota3") and for people ("boot 1.2 and later"). */
ESPIMAGE_API const char *espimage_consumer_name(enum espimage_consumer consumer);
ESPIMAGE_API const char *espimage_consumer_title(enum espimage_consumer consumer);
ESPIMAGE_API bool espimage_consumer_by_name(const char *name, enum espimage_consumer *out);

enum espimage_outcome {
    ESPIMAGE_PASS,
    ESPIMAGE_FAIL,   /**< a consumer that has this rule refuses the image */
    ESPIMAGE_WARN,   /**< nobody refuses it, but it is not as it should be */
    ESPIMAGE_UNKNOWN /**< could not be looked at: the file ends, or is something else */
};

/** "pass", "fail", "warn", "unknown". */
ESPIMAGE_API const char *espimage_outcome_name(enum espimage_outcome outcome);

struct espimage_rule {
    const char *name;   /**< "ota.crc": stable, for scripts */
    const char *demand; /**< one clause */
    unsigned consumers; /**< bit per espimage_consumer that refuses when it is broken */
};

/** The rules, in the order of a report. Static storage. */
ESPIMAGE_API size_t espimage_rule_count(void);
ESPIMAGE_API const struct espimage_rule *espimage_rule_at(size_t index);

#define ESPIMAGE_MAX_RULES 24

struct espimage_finding {
    const struct espimage_rule *rule;
    enum espimage_outcome outcome;
    char found[160];
};

struct espimage_verify_options {
    const struct espimage_flash_map *map; /**< NULL: the one that the image names */
    uint8_t app;                          /**< slot it is meant for, 1 or 2; 0: either */
    uint32_t partition;                   /**< OTA partition of SDK 3.x firmware in bytes, of which
                                               whole sectors count; 0: slot limit */
    bool irom_checksum;                   /**< rBoot was built with BOOT_IROM_CHKSUM */
};

struct espimage_verdict {
    bool accepts;
    const struct espimage_finding *because; /**< first rule that refuses; NULL when it accepts */
};

struct espimage_report {
    const struct espimage_flash_map *map; /**< the slot limit is this map's; may be NULL */
    size_t count;
    struct espimage_finding findings[ESPIMAGE_MAX_RULES];
    enum espimage_mistake mistake;
    struct espimage_identity identity; /**< the same, with what this file shows */
    struct espimage_verdict verdicts[ESPIMAGE_CONSUMER_COUNT];
};

/** Checks every rule. Never fails and allocates nothing. @param options not NULL. */
ESPIMAGE_API void espimage_verify(const uint8_t *bytes, size_t size,
                                  const struct espimage_verify_options *options,
                                  struct espimage_report *out);

ESPIMAGE_END

#endif
