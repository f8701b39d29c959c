/* SPDX-License-Identifier: MIT */
/* Any bytes as the head of a request, as they come in bit by bit. */
#include "fuzz/fuzz.h"

#include "http/request_head.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request_head whole;
    struct request_head part;
    enum head_state state = head_parse(data, size, HEAD_LONGEST, &whole);
    if (state == HEAD_COMPLETE && (whole.size > size || whole.fields > HEAD_FIELDS)) {
        abort();
    }
    if (state == HEAD_REFUSED && (whole.reason == NULL || whole.status < 400)) {
        abort();
    }
    /* What was decided of a part stays so. */
    enum head_state earlier = head_parse(data, size / 2, HEAD_LONGEST, &part);
    if (earlier != HEAD_PARTIAL && earlier != state) {
        abort();
    }
    return 0;
}
