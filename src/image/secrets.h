/* SPDX-License-Identifier: MIT */
/* Names of networks, passwords and keys in a flash: where the SDK keeps them, and how to blank them
 * so that a dump can be shown to others. */
#ifndef IMAGE_SECRETS_H
#define IMAGE_SECRETS_H

#include <espimage/flash_image.h>

enum secret_kind { SECRET_NETWORK, SECRET_PASSWORD, SECRET_KEY, SECRET_ACCESS_POINT };

struct secret {
    enum secret_kind kind;
    const uint8_t *bytes;
    uint32_t size; /* <= SECRET_SIZE; of text without the NUL behind it */
};

#define SECRET_SIZE 64

/* "network", "password", "key", "access point". */
const char *secret_name(enum secret_kind kind);

/* As text for people: a key in hexadecimal. */
void secret_printable(const struct secret *secret, char text[SECRET_SIZE + 1]);

/* Calls back with each secret that is not empty in one copy of the parameter record.
 * @param copy  ESPIMAGE_SECTOR bytes. */
void secrets_each(const uint8_t *copy, void (*found)(const struct secret *, void *context),
                  void *context);

/* One run of bytes that was blanked. */
struct redaction {
    uint32_t address;
    uint32_t size;
    const char *what;
};

#define MAX_REDACTIONS 256

struct redactions {
    size_t count;
    bool complete; /* false: there were more than fit, all are blanked, but not listed */
    struct redaction list[MAX_REDACTIONS];
};

/* Blanks, in place, what the SDK keeps in both copies of its record behind the bytes of the
 * bootloader, wherever a flash map has them; then each further copy of those passwords, keys and
 * names of 6 bytes and more in the whole flash. The SDK's checksums, and those and the CRC of
 * images that were right, are right again. @param flash  parsed from the bytes. */
void secrets_redact(uint8_t *bytes, size_t size, const struct espimage_flash_view *flash,
                    struct redactions *out);

#endif
