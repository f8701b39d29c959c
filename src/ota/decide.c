/* SPDX-License-Identifier: MIT */
#include "ota/decide.h"

#include <string.h>

enum ota_method ota_method_of(const char *method)
{
    if (strcmp(method, "GET") == 0) {
        return OTA_GET;
    }
    return strcmp(method, "HEAD") == 0 ? OTA_HEAD : OTA_OTHER;
}

struct ota_answer ota_decide(const struct ota_request *request, enum ota_supply supply)
{
    if (request->method == OTA_OTHER) {
        return (struct ota_answer){405, false, "only GET and HEAD are answered"};
    }
    if (request->slot == 0) {
        return (struct ota_answer){404, false, "not an image; ask for /user1.bin or /user2.bin"};
    }
    switch (supply) {
    case OTA_READY: return (struct ota_answer){200, true, NULL};
    case OTA_NO_ELF: return (struct ota_answer){404, false, "no ELF was given for this slot"};
    case OTA_NOT_READY: break;
    }
    return (struct ota_answer){503, false, "the ELF for this slot cannot be converted now"};
}
