/* SPDX-License-Identifier: MIT */
/* What a probe means: an outcome for each rule, the causes that the headers show, what to change.
 */
#ifndef DEVICE_REPORT_H
#define DEVICE_REPORT_H

#include "device/probe.h"
#include "ota/wire.h"

#include <espimage/verify.h>

enum probe_outcome { PROBE_PASS, PROBE_FAIL, PROBE_RISK, PROBE_UNKNOWN, PROBE_NOT_REACHED };

/* "pass", "fail", "at risk", "not known", "not reached". */
const char *probe_outcome_name(enum probe_outcome outcome);

/* What to change on the server when the rule is broken. */
const char *probe_advice(enum ota_rule rule);

struct probe_finding {
    enum probe_outcome outcome;
    char found[192];
};

/* One MSS of a sweep. */
struct probe_layout {
    uint16_t mss;
    enum probe_outcome outcome;
    enum ota_rule rule; /* that decided; valid unless the outcome is PASS */
    char found[160];
};

#define PROBE_MAX_CAUSES  8
#define PROBE_MAX_LAYOUTS (WIRE_USUAL_COUNT + 1)

struct probe_report {
    struct probe_finding rules[OTA_RULE_COUNT];
    enum probe_outcome verdict; /* PASS, FAIL, RISK or UNKNOWN */
    enum ota_rule because;      /* valid unless the verdict is PASS */
    bool late;                  /* of a FAIL: a device knows it only when its time is up */
    size_t cause_count;
    char causes[PROBE_MAX_CAUSES][288]; /* what the headers show */
    size_t layout_count;
    struct probe_layout layouts[PROBE_MAX_LAYOUTS]; /* ascending by MSS */
    const uint8_t *image;                           /* in the result's memory; NULL: none came */
    size_t image_size;
    bool image_whole;          /* all that the header announced */
    uint32_t extra_segments;   /* that came beyond what the layout needs: repeated or short ones */
    bool confirmed;            /* the computed segments came, some perhaps twice */
    espimage_report *verified; /* owned; NULL unless there is an image */
};

/* With `sweep`, also for every usual MSS. ESPIMAGE_ERR_MEMORY. Freed by probe_report_free(). */
enum espimage_code probe_report_make(const struct probe_options *options,
                                     const struct probe_result *result, bool sweep,
                                     struct probe_report *out, struct espimage_error *err);
void probe_report_free(struct probe_report *report);

#endif
