/* SPDX-License-Identifier: MIT */
/* Promises beside a model that searches a plain table. Two bytes are one step. */
#include "fuzz/fuzz.h"

#include "store/promises.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS 10
#define LIMIT   4
#define CLIENTS 4
#define IMAGES  3
#define STEPS   400

struct model {
    bool there;
    bool announced;
    bool used;
    uint64_t number;
    int image;
    double expires;
    unsigned age; /* the larger, the younger */
};

static void require(bool good)
{
    if (!good) {
        abort();
    }
}

/* Never freed: the table holds on to one reference less than there are. */
static const struct snapshot *image(int number)
{
    static struct {
        struct snapshot snapshot;
        unsigned references;
    } images[IMAGES];
    if (images[number].references == 0) {
        images[number].references = 1;
    }
    return &images[number].snapshot;
}

static int number_of(const struct snapshot *snapshot)
{
    for (int i = 0; i < IMAGES; i++) {
        if (snapshot == image(i)) {
            return i;
        }
    }
    abort();
}

static struct model *oldest(struct model models[CLIENTS][2])
{
    struct model *found = NULL;
    for (int c = 0; c < CLIENTS; c++) {
        for (int s = 0; s < 2; s++) {
            struct model *m = &models[c][s];
            if (m->there && (found == NULL || m->age < found->age)) {
                found = m;
            }
        }
    }
    return found;
}

static unsigned count(struct model models[CLIENTS][2])
{
    unsigned found = 0;
    for (int c = 0; c < CLIENTS; c++) {
        found += models[c][0].there + models[c][1].there;
    }
    return found;
}

static void model_make(struct model models[CLIENTS][2], struct model *m, int number, bool head,
                       uint64_t promise, double now)
{
    static unsigned age;
    while (!m->there && count(models) > 0 &&
           (oldest(models)->expires <= now || count(models) >= LIMIT)) {
        oldest(models)->there = false;
    }
    *m = (struct model){true, head, !head, promise, number, now + SECONDS, ++age};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct promises *promises = promises_new(SECONDS, LIMIT);
    struct model models[CLIENTS][2] = {{{0}}};
    uint64_t last = 0;
    double now = 1;
    for (size_t i = 0; i + 1 < size && i < STEPS; i += 2) {
        char client[8];
        int c = data[i] % CLIENTS;
        int slot = data[i] / CLIENTS % 2 + 1;
        int number = data[i] / CLIENTS / 2 % IMAGES;
        struct model *m = &models[c][slot - 1];
        struct promise_state state = {0};
        (void)snprintf(client, sizeof client, "%d", c);
        now += data[i + 1] / 8 % 4;
        switch (data[i + 1] % 5) {
        case 0:
        case 1: {
            bool head = data[i + 1] % 5 == 0;
            uint64_t made = promises_make(promises, client, slot, image(number), head, now);
            require(made > last);
            last = made;
            model_make(models, m, number, head, made, now);
            break;
        }
        case 2: {
            const struct snapshot *found = promises_find(promises, client, slot, now, &state);
            m->there = m->there && m->expires > now;
            require((found != NULL) == m->there);
            if (found != NULL) {
                require(number_of(found) == m->image && state.number == m->number);
                require(state.announced == m->announced && state.used == m->used);
                m->used = true;
                snapshot_release(found);
            }
            break;
        }
        case 3:
            promises_drop(promises, client, slot, m->there ? m->number : last + 1);
            m->there = false;
            break;
        default: {
            bool stays = m->there && m->announced && m->expires > now;
            promises_announce(promises, client, slot, image(number), now);
            if (!stays) {
                model_make(models, m, number, true, ++last, now);
            }
            break;
        }
        }
        require(promises_count(promises) == count(models) && promises_count(promises) <= LIMIT);
    }
    promises_free(promises);
    return 0;
}
