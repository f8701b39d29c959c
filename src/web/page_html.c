/* SPDX-License-Identifier: MIT */
/* The page as it is without its script; page/page.js shows the same things in the same words. */
#include "web/page_html.h"
#include "web/page/page_source.h"

#include <espimage/version.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

void page_html_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&': (void)fputs("&amp;", out); break;
        case '<': (void)fputs("&lt;", out); break;
        case '>': (void)fputs("&gt;", out); break;
        case '"': (void)fputs("&quot;", out); break;
        case '\'': (void)fputs("&#39;", out); break;
        default: (void)fputc(*text, out); break;
        }
    }
}

/* 1,234,567 */
static void number(FILE *out, uint64_t value)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%" PRIu64, value);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            (void)fputc(',', out);
        }
        (void)fputc(text[i], out);
    }
}

static void moment(FILE *out, int64_t seconds)
{
    time_t value = (time_t)seconds;
    struct tm utc;
    char text[32] = "";
    if (gmtime_r(&value, &utc) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    (void)fprintf(out, "<time datetime=\"%s\">%s</time>", text, text);
}

static unsigned percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (unsigned)(part * 100 / whole) : 0;
}

static void part_of(FILE *out, uint64_t part, uint64_t whole)
{
    number(out, part);
    (void)fputs(" of ", out);
    number(out, whole);
    (void)fprintf(out, " bytes (%u %%)", percent(part, whole));
}

static void bar(FILE *out, uint64_t part, uint64_t whole)
{
    (void)fprintf(out, "<progress max=\"%" PRIu64 "\" value=\"%" PRIu64 "\"></progress>", whole,
                  part);
}

/* ---- slots ---- */

static void slot_image(FILE *out, const struct board_slot *slot, uint32_t limit)
{
    (void)fputs("<dt>Size</dt><dd>", out);
    part_of(out, slot->size, limit);
    bar(out, slot->size, limit);
    (void)fprintf(out,
                  "</dd><dt>SHA-256</dt><dd><code>%s</code></dd>"
                  "<dt>Build</dt><dd>%u, converted ",
                  slot->sha256, slot->build);
    moment(out, slot->converted);
    (void)fputs("</dd>", out);
}

static void slot_card(FILE *out, const struct board_slot *slot, int number_,
                      const struct espimage_flash_map *map)
{
    (void)fprintf(out, "<article id=\"slot-%d\"><h3>user%d.bin</h3><dl>", number_, number_);
    if (slot->elf[0] != '\0') {
        (void)fputs("<dt>ELF</dt><dd>", out);
        page_html_text(out, slot->elf);
        (void)fputs("</dd>", out);
    }
    if (slot->reason[0] != '\0') {
        bool empty = slot->elf[0] == '\0';
        (void)fprintf(out, "<dt>%s</dt><dd><span class=\"%s\">", empty ? "Empty" : "Refused",
                      empty ? "soft" : "bad");
        page_html_text(out, slot->reason);
        (void)fputs("</span></dd>", out);
    }
    if (slot->build != 0) {
        slot_image(out, slot, map->slot_limit);
    }
    (void)fputs("</dl></article>", out);
}

static void rectangle(FILE *out, const char *id, const char *style, uint32_t at, uint64_t size)
{
    (void)fprintf(
        out, "<rect%s class=\"%s\" x=\"%" PRIu32 "\" width=\"%" PRIu64 "\" y=\"0\" height=\"1\"/>",
        id, style, at, size);
}

/* To scale: a unit is a byte. */
static void flash_map(FILE *out, const struct board_view *view,
                      const struct espimage_flash_map *map)
{
    static const char *const styles[] = {"one", "two"};
    (void)fprintf(out,
                  "<svg viewBox=\"0 0 %" PRIu32
                  " 1\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Flash map %s\">",
                  map->flash_size, map->name);
    rectangle(out, "", "flash", 0, map->flash_size);
    for (int i = 0; i < 2; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%s slot", styles[i]);
        rectangle(out, "", text, map->slot[i], map->slot_limit);
        (void)snprintf(text, sizeof text, " id=\"image-%d\"", i + 1);
        rectangle(out, text, styles[i], map->slot[i], view->slots[i].size);
    }
    const uint32_t system = ESPIMAGE_SYSTEM_SIZE;
    rectangle(out, "", "system", map->flash_size - system, system);
    (void)fprintf(out, "</svg><ul class=\"map\"><li>Flash map %s</li>", map->name);
    for (int i = 0; i < 2; i++) {
        (void)fprintf(out, "<li>user%d at 0x%06" PRIX32 ", linked at 0x%08" PRIX32 "</li>", i + 1,
                      map->slot[i], map->link[i]);
    }
    (void)fprintf(out, "<li>system at 0x%06" PRIX32 "</li></ul>", map->flash_size - system);
}

/* ---- tables ---- */

static void cell(FILE *out, const char *label)
{
    (void)fprintf(out, "<td data-label=\"%s\">", label);
}

static void marked(FILE *out, const char *style, const char *before, const char *text)
{
    (void)fprintf(out, "<span class=\"%s\">%s", style, before);
    page_html_text(out, text);
    (void)fputs("</span>", out);
}

static void download(FILE *out, const struct board_download *d)
{
    if (d->slot == 0) {
        return;
    }
    bar(out, d->sent, d->size);
    (void)fprintf(out, "user%d build %u: ", d->slot, d->build);
    part_of(out, d->sent, d->size);
    (void)fputs(", ", out);
    number(out, d->speed);
    (void)fputs(" bytes/s", out);
}

static void last_result(FILE *out, const struct board_device *d)
{
    char text[32];
    (void)snprintf(text, sizeof text, "user%d: ", d->last_slot);
    if (!d->ended) {
        return;
    }
    if (d->last_not_taken) {
        marked(out, "bad", text, "fetched before, not taken");
    } else if (d->last_reason[0] != '\0') {
        marked(out, "bad", text, d->last_reason);
    } else if (d->last_complete) {
        marked(out, "good", text, "delivered");
    } else {
        (void)fprintf(out, "%sanswered %u", text, d->last_status);
    }
}

static void device_row(FILE *out, const struct board_device *d)
{
    (void)fputs("<tr data-key=\"", out);
    page_html_text(out, d->client);
    (void)fputs("\">", out);
    cell(out, "Address");
    page_html_text(out, d->client);
    (void)fputs("</td>", out);
    cell(out, "Runs");
    if (d->runs != 0) {
        (void)fprintf(out, "<span class=\"good\">slot %d, build %u</span>", d->runs, d->runs_build);
    }
    (void)fputs("</td>", out);
    cell(out, "Download");
    download(out, &d->now);
    (void)fputs("</td>", out);
    cell(out, "Last result");
    last_result(out, d);
    (void)fputs("</td>", out);
    cell(out, "Updates");
    number(out, d->updates);
    (void)fputs(", failures ", out);
    number(out, d->failures);
    (void)fputs("</td>", out);
    cell(out, "Seen");
    moment(out, d->seen);
    (void)fputs("</td></tr>\n", out);
}

static void outcome(FILE *out, const struct board_result *r)
{
    if (r->turned_away) {
        marked(out, "bad", "turned away: ", r->reason);
    } else if (r->complete) {
        (void)fputs("<span class=\"good\">", out);
        number(out, r->size);
        (void)fprintf(out, " bytes in %" PRIu64 ".%u s</span>", r->milliseconds / 1000,
                      (unsigned)(r->milliseconds % 1000 / 100));
    } else if (r->reason[0] != '\0') {
        (void)fprintf(out, "<span class=\"bad\">%u", r->status);
        if (r->sent > 0) {
            (void)fputs(" after ", out);
            number(out, r->sent);
            (void)fputs(" of ", out);
            number(out, r->size);
            (void)fputs(" bytes", out);
        }
        (void)fputs(": ", out);
        page_html_text(out, r->reason);
        (void)fputs("</span>", out);
    } else {
        (void)fprintf(out, "%u", r->status);
    }
    if (r->runs != 0) {
        (void)fprintf(out, "; <span class=\"good\">now runs build %u in slot %d</span>",
                      r->runs_build, r->runs);
    }
    if (r->not_taken) {
        (void)fputs("; <span class=\"bad\">has not taken what it fetched before</span>", out);
    }
}

static void result_row(FILE *out, const struct board_result *r)
{
    (void)fprintf(out, "<tr data-key=\"%" PRIu64 "\">", r->number);
    cell(out, "Time");
    moment(out, r->time);
    (void)fputs("</td>", out);
    cell(out, "Address");
    page_html_text(out, r->client);
    (void)fputs("</td>", out);
    cell(out, "Request");
    if (!r->turned_away) {
        page_html_text(out, r->method);
        (void)fputc(' ', out);
        page_html_text(out, r->target);
    }
    if (r->build != 0) {
        (void)fprintf(out, " (build %u)", r->build);
    }
    (void)fputs("</td>", out);
    cell(out, "Result");
    outcome(out, r);
    (void)fputs("</td></tr>\n", out);
}

static void totals(FILE *out, const struct board_totals *t)
{
    const struct {
        uint64_t value;
        const char *text;
    } parts[] = {{t->devices, "Devices: "},       {t->active, ", downloading: "},
                 {t->complete, ". Delivered: "},  {t->broken, ", broken off: "},
                 {t->image_bytes, ", bytes: "},   {t->updates, ". Updated: "},
                 {t->not_taken, ", not taken: "}, {t->turned_away, ". Turned away: "}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)fputs(parts[i].text, out);
        number(out, parts[i].value);
    }
    (void)fputc('.', out);
}

/* ---- the page ---- */

static bool is_named(const char *name, size_t size, const char *wanted)
{
    return strlen(wanted) == size && memcmp(name, wanted, size) == 0;
}

static void part(FILE *out, const char *name, size_t size, const struct board_view *view,
                 const struct board_setting *setting)
{
    if (is_named(name, size, "style")) {
        (void)fputs(page_css, out);
    } else if (is_named(name, size, "script")) {
        (void)fputs(page_js, out);
    } else if (is_named(name, size, "version")) {
        (void)fputs(ESPIMAGE_VERSION, out);
    } else if (is_named(name, size, "now")) {
        moment(out, setting->now);
    } else if (is_named(name, size, "slots")) {
        slot_card(out, &view->slots[0], 1, setting->map);
        slot_card(out, &view->slots[1], 2, setting->map);
    } else if (is_named(name, size, "map")) {
        flash_map(out, view, setting->map);
    } else if (is_named(name, size, "devices")) {
        for (size_t i = view->device_count; i > 0; i--) {
            device_row(out, &view->devices[i - 1]);
        }
    } else if (is_named(name, size, "results")) {
        for (size_t i = view->result_count; i > 0; i--) {
            result_row(out, &view->results[i - 1]);
        }
    } else if (is_named(name, size, "totals")) {
        totals(out, &view->totals);
    }
}

void page_html_write(FILE *out, const struct board_view *view, const struct board_setting *setting)
{
    const char *at = page_html;
    const char *open = strstr(at, "{{");
    while (open != NULL) {
        const char *close = strstr(open, "}}");
        (void)fwrite(at, 1, (size_t)(open - at), out);
        part(out, open + 2, (size_t)(close - open - 2), view, setting);
        at = close + 2;
        open = strstr(at, "{{");
    }
    (void)fputs(at, out);
}

void page_html_policy(char policy[PAGE_POLICY])
{
    char style[SHA256_BASE64];
    char script[SHA256_BASE64];
    sha256_base64((const uint8_t *)page_css, strlen(page_css), style);
    sha256_base64((const uint8_t *)page_js, strlen(page_js), script);
    (void)snprintf(
        policy, PAGE_POLICY,
        "default-src 'none'; img-src data:; style-src 'sha256-%s'; script-src 'sha256-%s'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
        style, script);
}
