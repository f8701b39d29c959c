/* SPDX-License-Identifier: MIT */
#include "image/secrets.h"

#include "base/bytes.h"
#include "base/text.h"
#include "image/image_format.h"

#include <espimage/parameters.h>
#include <stdio.h>
#include <string.h>

/* In a record: a length in front of the text, or 0 when NUL ends it. */
struct field {
    enum secret_kind kind;
    uint32_t length_at;
    uint32_t at;
    uint32_t size;
};

/* Observed in records that the SDK wrote; see also ESPIMAGE_NETWORK_OFFSET. */
static const struct field fields[] = {
    {SECRET_NETWORK, 0x0C, 0x10, 32},
    {SECRET_PASSWORD, 0, 0x37, 64},
    {SECRET_KEY, 0, 0x78, 32},
    {SECRET_ACCESS_POINT, 0xB0, 0xB4, 32},
};

#define FIELD_COUNT (sizeof fields / sizeof fields[0])

/* A stored network: length, name, password. */
#define STORED_NAME          4
#define STORED_NAME_SIZE     32
#define STORED_PASSWORD      (STORED_NAME + STORED_NAME_SIZE)
#define STORED_PASSWORD_SIZE 64

/* Where the settings of the SDK begin: behind the bytes that are the bootloader's. */
#define SETTINGS ESPIMAGE_RECORD_HEAD

/* Shorter ones are found by chance; WPA has no shorter password. */
#define SHORTEST_NAME     6
#define SHORTEST_PASSWORD 8

/* Of the selector: the checksums of both copies. */
#define SELECTOR_CHECKSUM(copy) (20 + 4 * (uint32_t)(copy))

const char *secret_name(enum secret_kind kind)
{
    static const char *const names[] = {"network", "password", "key", "access point"};
    return names[kind];
}

void secret_printable(const struct secret *secret, char text[SECRET_SIZE + 1])
{
    char raw[SECRET_SIZE + 1];
    if (secret->kind == SECRET_KEY) {
        for (uint32_t i = 0; i < secret->size && i < SECRET_SIZE / 2; i++) {
            (void)snprintf(text + 2 * (size_t)i, 3, "%02x", secret->bytes[i]);
        }
        return;
    }
    memcpy(raw, secret->bytes, secret->size);
    raw[secret->size] = '\0';
    printable(text, SECRET_SIZE + 1, raw);
}

static uint32_t text_length(const uint8_t *bytes, uint32_t size)
{
    const uint8_t *end = memchr(bytes, 0, size);
    return end != NULL ? (uint32_t)(end - bytes) : size;
}

static struct secret read_field(const uint8_t *copy, const struct field *field)
{
    struct secret secret = {field->kind, copy + field->at, field->size};
    if (bytes_all(secret.bytes, field->size, 0xFF) || bytes_all(secret.bytes, field->size, 0)) {
        secret.size = 0;
    } else if (field->length_at != 0) {
        uint32_t length = get_le32(copy + field->length_at);
        secret.size = length < field->size ? length : field->size;
    } else if (field->kind != SECRET_KEY) {
        secret.size = text_length(secret.bytes, field->size);
    }
    return secret;
}

void secrets_each(const uint8_t *copy, void (*found)(const struct secret *, void *context),
                  void *context)
{
    struct field all[FIELD_COUNT + (size_t)2 * ESPIMAGE_MAX_NETWORKS];
    size_t count = FIELD_COUNT;
    memcpy(all, fields, sizeof fields);
    for (uint32_t i = 0; i < espimage_network_count(copy); i++) {
        uint32_t at = ESPIMAGE_NETWORK_OFFSET + i * ESPIMAGE_NETWORK_SIZE;
        all[count++] = (struct field){SECRET_NETWORK, at, at + STORED_NAME, STORED_NAME_SIZE};
        all[count++] =
            (struct field){SECRET_PASSWORD, 0, at + STORED_PASSWORD, STORED_PASSWORD_SIZE};
    }
    for (size_t i = 0; i < count; i++) {
        struct secret secret = read_field(copy, &all[i]);
        if (secret.size > 0) {
            found(&secret, context);
        }
    }
}

/* ---- what is searched for ---- */

#define MAX_NEEDLES 64

struct needle {
    enum secret_kind kind;
    uint32_t size;
    uint8_t bytes[SECRET_SIZE];
};

struct needles {
    size_t count;
    struct needle list[MAX_NEEDLES];
};

static void add_needle(const struct secret *secret, void *context)
{
    struct needles *needles = context;
    bool name = secret->kind == SECRET_NETWORK || secret->kind == SECRET_ACCESS_POINT;
    if (secret->size < (name ? SHORTEST_NAME : SHORTEST_PASSWORD) ||
        bytes_all(secret->bytes, secret->size, secret->bytes[0]) || needles->count == MAX_NEEDLES) {
        return;
    }
    for (size_t i = 0; i < needles->count; i++) {
        const struct needle *n = &needles->list[i];
        if (n->size == secret->size && memcmp(n->bytes, secret->bytes, n->size) == 0) {
            return;
        }
    }
    struct needle *n = &needles->list[needles->count++];
    n->kind = secret->kind;
    n->size = secret->size;
    memcpy(n->bytes, secret->bytes, secret->size);
}

static void add_redaction(struct redactions *out, uint32_t address, uint32_t size, const char *what)
{
    if (out->count < MAX_REDACTIONS) {
        out->list[out->count++] = (struct redaction){address, size, what};
    } else {
        out->complete = false;
    }
}

/* ---- records ---- */

/* What the SDK or a bootloader wrote: its version, and FF where an address would be. */
static bool is_record(const uint8_t *copy)
{
    uint8_t version = copy[1] & 0x1F;
    uint32_t length = get_le32(copy + fields[0].length_at);
    return version >= 2 && version <= 7 && bytes_all(copy + 2, SETTINGS - 2, 0xFF) &&
           (length <= fields[0].size || length == UINT32_MAX);
}

/* The sectors of parameters that a flash of this map has, or that one had before with another map:
 * the k-th of them, or false. */
static bool sectors_at(const struct espimage_flash_view *flash, size_t size, size_t k,
                       uint32_t *address)
{
    const struct espimage_flash_map *map = espimage_flash_map_at(k);
    bool same = false;
    for (size_t i = 0; i < k; i++) {
        same = same || espimage_flash_map_at(i)->flash_size == map->flash_size;
    }
    *address = espimage_parameters_address(map->flash_size);
    return !same && map->flash_size <= size && flash->layout != ESPIMAGE_FLASH_RTOS3;
}

static bool holds_record(const struct espimage_flash_view *flash, uint32_t sectors,
                         const uint8_t *copy)
{
    bool own = flash->map != NULL && sectors == espimage_parameters_address(flash->map->flash_size);
    return (own || is_record(copy)) && !bytes_all(copy, ESPIMAGE_SECTOR, 0xFF);
}

static void blank_copy(uint8_t *copy, uint32_t address, struct redactions *out)
{
    uint32_t end = ESPIMAGE_SECTOR;
    while (end > SETTINGS && copy[end - 1] == 0xFF) {
        end--;
    }
    /* FF too: a key with one in it would show where. */
    bool any = !bytes_all(copy + SETTINGS, end - SETTINGS, 0);
    memset(copy + SETTINGS, 0, end - SETTINGS);
    if (any) {
        add_redaction(out, address + SETTINGS, ESPIMAGE_SECTOR - SETTINGS,
                      "settings of the SDK: networks, passwords, keys");
    }
}

static void blank_record(uint8_t *bytes, const struct espimage_flash_view *flash, uint32_t sectors,
                         struct redactions *out)
{
    struct espimage_parameters before;
    espimage_parameters_parse(bytes + sectors, &before);
    for (int c = 0; c < 2; c++) {
        uint32_t address = sectors + ESPIMAGE_COPY_OFFSET((enum espimage_copy)c);
        if (!holds_record(flash, sectors, bytes + address)) {
            continue;
        }
        blank_copy(bytes + address, address, out);
        if (before.state[c] == ESPIMAGE_RECORD_GOOD) {
            bytes[sectors + ESPIMAGE_SELECTOR_OFFSET + SELECTOR_CHECKSUM(c)] =
                espimage_record_checksum(bytes + address);
        }
    }
}

/* ---- images ---- */

/* Sums of an image before its bytes change. */
struct sums {
    uint32_t address;
    size_t size; /* with what is behind the checksum, at most the CRC */
    bool checksum_right;
    bool all_right; /* the checksum covers irom too */
    bool crc_right;
};

#define MAX_SUMS (2 + ESPIMAGE_MAX_FLASH_IMAGES)

static void note_sums(const uint8_t *bytes, size_t size, uint32_t address, struct sums *list,
                      size_t *count)
{
    struct espimage_image_view v;
    espimage_image_parse(bytes + address, size - address, &v);
    if (v.extent < ESPIMAGE_EXTENT_CHECKSUM) {
        return;
    }
    struct sums *s = &list[(*count)++];
    size_t end = v.checksum_offset + (size_t)1;
    *s = (struct sums){address, end, v.checksum_stored == v.checksum_ram,
                       v.checksum_stored == v.checksum_all, false};
    if (v.trailing >= CRC_SIZE) {
        s->size += CRC_SIZE;
        s->crc_right =
            get_le32(bytes + address + end) == espimage_image_crc(bytes + address, s->size);
    }
}

static size_t note_all_sums(const uint8_t *bytes, size_t size,
                            const struct espimage_flash_view *flash, struct sums list[MAX_SUMS])
{
    size_t count = 0;
    for (size_t i = 0; i < flash->part_count; i++) {
        if (flash->parts[i].kind == ESPIMAGE_PART_SLOT) {
            note_sums(bytes, size, flash->parts[i].address, list, &count);
        }
    }
    for (size_t i = 0; i < flash->image_count; i++) {
        note_sums(bytes, size, flash->images[i].address, list, &count);
    }
    return count;
}

/* An image that reaches over the parameters is damaged anyway; its sums must not go there. */
static bool ends_in_redaction(const struct sums *s, const struct redactions *done)
{
    size_t end = s->address + s->size;
    for (size_t i = 0; i < done->count; i++) {
        size_t start = done->list[i].address;
        if (end > start && end - CRC_SIZE - 1 < start + done->list[i].size) {
            return true;
        }
    }
    return false;
}

static void repair_sums(uint8_t *bytes, const struct sums *s)
{
    struct espimage_image_view v;
    uint8_t *start = bytes + s->address;
    espimage_image_parse(start, s->size, &v);
    if (v.extent < ESPIMAGE_EXTENT_CHECKSUM) {
        return; /* its headers were changed: there is no text in them */
    }
    if (s->checksum_right || s->all_right) {
        start[v.checksum_offset] = s->checksum_right ? v.checksum_ram : v.checksum_all;
    }
    if (s->crc_right) {
        put_le32(start + s->size - CRC_SIZE, espimage_image_crc(start, s->size));
    }
}

/* ---- further copies ---- */

static void blank_needle(uint8_t *bytes, size_t size, const struct needle *n,
                         struct redactions *out)
{
    static const char *const what[] = {
        [SECRET_NETWORK] = "a name of a network",
        [SECRET_PASSWORD] = "a password",
        [SECRET_KEY] = "a key",
        [SECRET_ACCESS_POINT] = "the name of the access point",
    };
    size_t at = 0;
    while (at + n->size <= size) {
        const uint8_t *next = memchr(bytes + at, n->bytes[0], size - at - n->size + 1);
        if (next == NULL) {
            return;
        }
        at = (size_t)(next - bytes);
        if (memcmp(next, n->bytes, n->size) == 0) {
            memset(bytes + at, n->kind == SECRET_KEY ? 0 : 'x', n->size);
            add_redaction(out, (uint32_t)at, n->size, what[n->kind]);
            at += n->size;
        } else {
            at++;
        }
    }
}

void secrets_redact(uint8_t *bytes, size_t size, const struct espimage_flash_view *flash,
                    struct redactions *out)
{
    struct needles needles = {0};
    struct sums sums[MAX_SUMS];
    uint32_t sectors = 0;
    size_t images = note_all_sums(bytes, size, flash, sums);

    memset(out, 0, sizeof *out);
    out->complete = true;
    for (size_t k = 0; k < espimage_flash_map_count(); k++) {
        for (int c = 0; c < 2 && sectors_at(flash, size, k, &sectors); c++) {
            const uint8_t *copy = bytes + sectors + ESPIMAGE_COPY_OFFSET((enum espimage_copy)c);
            if (holds_record(flash, sectors, copy)) {
                secrets_each(copy, add_needle, &needles);
            }
        }
    }
    for (size_t k = 0; k < espimage_flash_map_count(); k++) {
        if (sectors_at(flash, size, k, &sectors)) {
            blank_record(bytes, flash, sectors, out);
        }
    }
    for (size_t i = 0; i < needles.count; i++) {
        blank_needle(bytes, size, &needles.list[i], out);
    }
    for (size_t i = 0; i < images; i++) {
        if (!ends_in_redaction(&sums[i], out)) {
            repair_sums(bytes, &sums[i]);
        }
    }
}
