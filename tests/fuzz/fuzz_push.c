/* SPDX-License-Identifier: MIT */
/* Any bytes as what push reads: an answer of a device, a page, a value of --via, a state file. */
#include "fuzz/fuzz.h"

#include "push/exchange.h"
#include "push/journal.h"
#include "push/page.h"
#include "push/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void require(bool good)
{
    if (!good) {
        abort();
    }
}

static void check_answer(char *text, size_t size)
{
    const struct exchange x = {.answer = text, .answer_size = size};
    const char *body = NULL;
    if (exchange_status(&x, &body) != 0) {
        require(body >= text && body <= text + size);
    }
}

static void check_page(const char *text)
{
    struct page_expectation e;
    struct espimage_error err;
    char build[BUILD_DIGITS + 1];
    require(page_expectation_init(&e, NULL, "7", &err) == ESPIMAGE_OK);
    enum push_shown shown = page_shows(&e, text, build);
    require(shown != PUSH_SHOWS_NOTHING && strspn(build, "0123456789") == strlen(build));
    require(shown == PUSH_SHOWS_UNKNOWN || build[0] != '\0');
    page_expectation_free(&e);
}

static void check_transport(const char *text)
{
    struct transport via;
    struct espimage_error err;
    if (transport_parse(text, &via, &err) == ESPIMAGE_OK) {
        require(via.kind != NULL && via.kind->consumers != 0);
        require(via.kind->trigger != TRIGGER_REQUEST || transport_url_is_good(via.url));
        require(via.kind->trigger != TRIGGER_CONNECTION || via.port != 0);
    }
}

static void on_record(void *context, const struct journal_record *record)
{
    (void)context;
    require(record->address[0] != '\0' && (unsigned)record->state < PUSH_STATE_COUNT);
}

static void check_journal(const uint8_t *data, size_t size)
{
    struct espimage_error err;
    char path[64];
    int fd = memfd_create("state", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    require(journal_read(path, "a", on_record, NULL, &err) == ESPIMAGE_OK);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    check_answer(text, size);
    check_page(text);
    check_transport(text);
    check_journal(data, size);
    free(text);
    return 0;
}
