/* SPDX-License-Identifier: MIT */
/* The rules applied to an image, and what each consumer makes of the findings. */
#include <espimage/verify.h>

#include "base/error.h"
#include "base/options.h"
#include "base/text.h"
#include "image/image_format.h"
#include "image/rules.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *title;
} consumers[ESPIMAGE_CONSUMER_COUNT] = {
    [ESPIMAGE_CONSUMER_BOOT] = {"boot", "boot 1.2 and later"},
    [ESPIMAGE_CONSUMER_RBOOT] = {"rboot", "rBoot"},
    [ESPIMAGE_CONSUMER_OTA2] = {"ota2", "OTA of SDK 2.x"},
    [ESPIMAGE_CONSUMER_OTA3] = {"ota3", "OTA of SDK 3.x"},
    [ESPIMAGE_CONSUMER_RTOS1] = {"rtos1", "OTA of RTOS SDK 1.x"},
    [ESPIMAGE_CONSUMER_ESP_LINK] = {"esp-link", "esp-link"},
    [ESPIMAGE_CONSUMER_LIBESPHTTPD] = {"libesphttpd", "libesphttpd"},
    [ESPIMAGE_CONSUMER_ESPRUINO] = {"espruino", "Espruino"},
};

const char *espimage_consumer_name(enum espimage_consumer consumer)
{
    return consumers[consumer].name;
}

const char *espimage_consumer_title(enum espimage_consumer consumer)
{
    return consumers[consumer].title;
}

bool espimage_consumer_by_name(const char *name, enum espimage_consumer *out)
{
    for (int i = 0; i < ESPIMAGE_CONSUMER_COUNT; i++) {
        if (text_same(name, consumers[i].name)) {
            *out = (enum espimage_consumer)i;
            return true;
        }
    }
    return false;
}

const char *espimage_outcome_name(enum espimage_outcome outcome)
{
    static const char *const names[] = {"pass", "fail", "warn", "unknown"};
    return names[outcome];
}

struct espimage_report {
    const struct espimage_flash_map *map; /* may be NULL */
    struct espimage_identity identity;
    struct espimage_finding findings[RULE_COUNT];
    struct espimage_verdict verdicts[ESPIMAGE_CONSUMER_COUNT];
};

static const struct espimage_flash_map *map_of(const struct espimage_image_view *v,
                                               const struct espimage_verify_options *options)
{
    if (options->map != NULL) {
        return options->map;
    }
    return v->extent >= ESPIMAGE_EXTENT_INNER
               ? espimage_flash_map_by_code(MAP_CODE(v->inner[HEADER_SIZE_FREQ]))
               : NULL;
}

static struct espimage_verdict judge(const espimage_report *report, unsigned consumer)
{
    struct espimage_verdict verdict = {true, false, NULL};
    for (size_t i = 0; i < RULE_COUNT && verdict.accepts; i++) {
        const struct espimage_finding *f = &report->findings[i];
        bool broken = f->outcome == ESPIMAGE_FAIL || f->outcome == ESPIMAGE_UNKNOWN;
        if (broken && (f->rule->consumers & consumer) != 0) {
            verdict.accepts = false;
            verdict.crashes = (f->rule->crashes & consumer) != 0;
            verdict.because = f;
        }
    }
    return verdict;
}

/* In padding a new member would not change the size by which it is known to be there. */
_Static_assert(offsetof(struct espimage_verify_options, reserved) + 2 ==
                   sizeof(struct espimage_verify_options),
               "no padding at the end");

enum espimage_code espimage_verify(const uint8_t *bytes, size_t size,
                                   const struct espimage_verify_options *given,
                                   espimage_report **out, struct espimage_error *err)
{
    struct espimage_verify_options options = ESPIMAGE_VERIFY_OPTIONS_INIT;
    struct espimage_image_view view;
    if (given != NULL && OPTIONS_COPY(&options, given, err) != ESPIMAGE_OK) {
        return err->code;
    }
    espimage_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        return error_no_memory(err);
    }
    espimage_image_parse(bytes, size, &view);
    struct subject subject = {&view, &options, map_of(&view, &options),
                              size > 0 && (bytes[0] == MAGIC_V2 || bytes[0] == MAGIC_V1)};
    report->map = subject.map;
    for (size_t i = 0; i < RULE_COUNT; i++) {
        struct espimage_finding *f = &report->findings[i];
        f->rule = &image_rules[i].rule;
        /* Of a file that is no image only that is worth saying. */
        f->outcome = i == 0 || subject.is_image
                         ? image_rules[i].check(&subject, f)
                         : rule_find(f, ESPIMAGE_UNKNOWN, "not checked: not an image");
    }
    espimage_identify(bytes, size, &report->identity);
    for (unsigned i = 0; i < ESPIMAGE_CONSUMER_COUNT; i++) {
        report->verdicts[i] = judge(report, 1U << i);
    }
    *out = report;
    return ESPIMAGE_OK;
}

void espimage_report_free(espimage_report *report)
{
    free(report);
}

const struct espimage_flash_map *espimage_report_map(const espimage_report *report)
{
    return report->map;
}

const struct espimage_identity *espimage_report_identity(const espimage_report *report)
{
    return &report->identity;
}

size_t espimage_report_count(const espimage_report *report)
{
    (void)report;
    return RULE_COUNT;
}

const struct espimage_finding *espimage_report_finding(const espimage_report *report, size_t index)
{
    return &report->findings[index];
}

const struct espimage_verdict *espimage_report_verdict(const espimage_report *report,
                                                       enum espimage_consumer consumer)
{
    return &report->verdicts[consumer];
}
