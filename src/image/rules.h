/* SPDX-License-Identifier: MIT */
/* The rules of espimage_verify(), one function each. */
#ifndef IMAGE_RULES_H
#define IMAGE_RULES_H

#include <espimage/verify.h>

/* What a rule looks at. */
struct subject {
    const struct espimage_image_view *view;
    const struct espimage_verify_options *options;
    const struct espimage_flash_map *map; /* may be NULL */
    bool is_image;                        /* begins with EA or E9 */
};

/* Fills f->found and returns the outcome. */
typedef enum espimage_outcome rule_check(const struct subject *, struct espimage_finding *f);

struct checked_rule {
    struct espimage_rule rule;
    rule_check *check;
};

#define RULE_COUNT 32

/* In the order of a report; the first one is about being an image at all. */
extern const struct checked_rule image_rules[RULE_COUNT];

/* Sets f->found; returns `outcome`. */
enum espimage_outcome rule_find(struct espimage_finding *f, enum espimage_outcome outcome,
                                const char *format, ...) __attribute__((format(printf, 3, 4)));

static inline enum espimage_outcome rule_pass_if(bool holds, enum espimage_outcome otherwise)
{
    return holds ? ESPIMAGE_PASS : otherwise;
}

/* For what is behind the end of the file, or behind a part that leaves it. */
enum espimage_outcome rule_not_reached(struct espimage_finding *f);

/* libesphttpd and its relatives, to which updates are pushed: rules_push.c. */
rule_check rule_push_header, rule_httpd_settings, rule_link_settings, rule_espruino_app,
    rule_push_entry, rule_push_address, rule_push_length, rule_link_length;

#endif
