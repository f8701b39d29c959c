/* SPDX-License-Identifier: MIT */
#include "base/sha256.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

struct vector {
    const char *name;
    const char *text;
    size_t times;
    const char *hash;
};

/* FIPS 180-4 */
static const struct vector vectors[] = {
    {"empty", "", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"two blocks", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"a million", "a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void test_vector(void **state)
{
    const struct vector *row = *state;
    size_t length = strlen(row->text);
    char text[SHA256_TEXT + 1];
    uint8_t *bytes = malloc(length * row->times + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < row->times; i++) {
        memcpy(bytes + i * length, row->text, length);
    }
    text[SHA256_TEXT] = '#';
    sha256_text(bytes, length * row->times, text);
    assert_int_equal(text[SHA256_TEXT], '#');
    assert_int_equal(strlen(text), SHA256_TEXT - 1);
    assert_memory_equal(text, row->hash, SHA256_TEXT);
    free(bytes);
}

int main(void)
{
    return run_table("sha256", vectors, test_vector);
}
