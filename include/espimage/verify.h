/* SPDX-License-Identifier: MIT */
/**
 * @file verify.h
 * Who would accept and boot this? Every demand that devices make of an image, one named rule each.
 *
 * The demands are those of Espressif's bootloaders, of rBoot, of the upgrade libraries in the NONOS
 * SDK and in the RTOS SDK 1.x, and of firmware to which updates are pushed. A rule that no consumer
 * demands is kept for what it reveals and only warns.
 */
#ifndef ESPIMAGE_VERIFY_H
#define ESPIMAGE_VERIFY_H

#include <espimage/identify.h>
#include <espimage/image.h>

ESPIMAGE_BEGIN

enum espimage_consumer {
    ESPIMAGE_CONSUMER_BOOT,        /**< Espressif's second-stage bootloader 1.2 and later */
    ESPIMAGE_CONSUMER_RBOOT,       /**< rBoot */
    ESPIMAGE_CONSUMER_OTA2,        /**< upgrade library of SDK 2.x */
    ESPIMAGE_CONSUMER_OTA3,        /**< upgrade library of SDK 3.x */
    ESPIMAGE_CONSUMER_RTOS1,       /**< updates of RTOS SDK 1.x: length and CRC, no app number */
    ESPIMAGE_CONSUMER_ESP_LINK,    /**< pushed to esp-link */
    ESPIMAGE_CONSUMER_LIBESPHTTPD, /**< pushed to libesphttpd */
    ESPIMAGE_CONSUMER_ESPRUINO,    /**< pushed to Espruino */
    ESPIMAGE_CONSUMER_COUNT
};

/** Short ("boot", "rboot", "ota2", "ota3", "rtos1", "esp-link", "libesphttpd", "espruino") and for
 * people ("boot 1.2 and later"). */
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
    unsigned crashes;   /**< those of them that do not notice it: the chip crashes at every reset */
};

/** The rules, in the order of a report. Static storage. */
ESPIMAGE_API size_t espimage_rule_count(void);
ESPIMAGE_API const struct espimage_rule *espimage_rule_at(size_t index);

struct espimage_finding {
    const struct espimage_rule *rule;
    enum espimage_outcome outcome;
    char found[160];
};

/** Options of espimage_verify(); see "Options" in espimage.h. */
struct espimage_verify_options {
    size_t size;                          /**< of this struct */
    const struct espimage_flash_map *map; /**< NULL: the one that the image names */
    uint32_t partition;                   /**< OTA partition of SDK 3.x firmware in bytes, of which
                                               whole sectors count; 0: slot limit */
    uint8_t app;                          /**< slot it is meant for, 1 or 2; 0: either */
    bool irom_checksum;                   /**< rBoot was built with BOOT_IROM_CHKSUM */
    uint8_t reserved[2];                  /**< 0 */
};

#define ESPIMAGE_VERIFY_OPTIONS_INIT                                                               \
    {                                                                                              \
        sizeof(struct espimage_verify_options), NULL, 0, 0, false,                                 \
        {                                                                                          \
            0, 0                                                                                   \
        }                                                                                          \
    }

/** What a consumer does with the image. */
struct espimage_verdict {
    bool accepts;
    bool crashes; /**< it does not refuse: it starts the image, and the chip crashes at every reset
                   */
    const struct espimage_finding *because; /**< first rule that refuses; NULL when it accepts */
};

/** The findings and verdicts for one image. Immutable; keeps nothing of the image. */
typedef struct espimage_report espimage_report;

/**
 * Checks every rule. A file that breaks some, or is not an image, is not a failure.
 * @param options may be NULL: all defaults.
 * @param[out] out a new report, to be freed with espimage_report_free().
 * @return ESPIMAGE_OK, _ERR_USAGE (options), _ERR_MEMORY.
 */
ESPIMAGE_API enum espimage_code espimage_verify(const uint8_t *bytes, size_t size,
                                                const struct espimage_verify_options *options,
                                                espimage_report **out, struct espimage_error *err);

/** Accepts NULL. */
ESPIMAGE_API void espimage_report_free(espimage_report *report);

/** The flash map whose slot limit counted, or NULL when it is unknown. */
ESPIMAGE_API const struct espimage_flash_map *espimage_report_map(const espimage_report *report);

/** What the file is, as espimage_identify() says. Lives with the report. */
ESPIMAGE_API const struct espimage_identity *
espimage_report_identity(const espimage_report *report);

/** One finding a rule, in the order of the rules: 0 <= index < count. Lives with the report. */
ESPIMAGE_API size_t espimage_report_count(const espimage_report *report);
ESPIMAGE_API const struct espimage_finding *espimage_report_finding(const espimage_report *report,
                                                                    size_t index);

/** Lives with the report. */
ESPIMAGE_API const struct espimage_verdict *
espimage_report_verdict(const espimage_report *report, enum espimage_consumer consumer);

ESPIMAGE_END

#endif
