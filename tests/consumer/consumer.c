/* SPDX-License-Identifier: MIT */
/* What a user of the installed library writes first. Its own functions have names that the
 * library uses inside. */
#include <espimage/espimage.h>
#include <stdio.h>
#include <string.h>

#if ESPIMAGE_VERSION_NUMBER < 0x000100
#error "espimage 0.1 or later"
#endif

int note_add(void);
int text_same(void);
int printable(void);
int error_found(void);

int note_add(void)
{
    return 1;
}

int text_same(void)
{
    return 2;
}

int printable(void)
{
    return 3;
}

int error_found(void)
{
    return 4;
}

int main(void)
{
    struct espimage_error err;
    struct espimage_verify_options options = ESPIMAGE_VERIFY_OPTIONS_INIT;
    espimage_firmware *fw = NULL;
    espimage_report *report = NULL;
    char line[ESPIMAGE_ERROR_LINE];
    if (espimage_firmware_from_elf("no ELF", 6, &fw, &err) != ESPIMAGE_ERR_ELF) {
        return 1;
    }
    (void)printf("espimage %s: %s\n", espimage_version(),
                 espimage_error_line(&err, line, sizeof line));
    options.app = 2;
    if (espimage_verify((const uint8_t *)"no image", 8, &options, &report, &err) != ESPIMAGE_OK ||
        espimage_report_count(report) != espimage_rule_count() ||
        espimage_report_finding(report, 0)->outcome != ESPIMAGE_FAIL ||
        espimage_report_verdict(report, ESPIMAGE_CONSUMER_BOOT)->accepts) {
        return 2;
    }
    espimage_report_free(report);
    if (note_add() + text_same() + printable() + error_found() != 10) {
        return 3;
    }
    return strcmp(espimage_version(), ESPIMAGE_VERSION) == 0 ? 0 : 4;
}
