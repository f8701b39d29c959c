/* SPDX-License-Identifier: MIT */
/* Limits and protection of `serve`: the options, and what is said of them at start. */
#ifndef CLI_SERVE_SAFETY_H
#define CLI_SERVE_SAFETY_H

#include "cli/options.h"
#include "server/server.h"

#define ALLOWED_NETWORKS 64

struct safety {
    uint32_t max_connections; /* 0: as many as the system allows */
    uint32_t max_per_address; /* 0: the server's choice */
    uint32_t max_rate;        /* 0: none */
    uint32_t request_seconds;
    uint32_t max_request; /* bytes */
    uint32_t idle_seconds;
    uint32_t drain_seconds;
    const char *allow[ALLOWED_NETWORKS]; /* borrowed */
    size_t allow_count;
    const char *hosts[SERVER_HOSTS]; /* borrowed */
    size_t host_count;
    const char *path_token; /* NULL: none */
    bool no_sandbox;
};

/* Devices stall for seconds while they erase and write; less than this cuts real ones off. */
#define SAFETY_IDLE_SECONDS 120
/* A device's request is a few hundred bytes long. */
#define SAFETY_LEAST_REQUEST 1024
#define SAFETY_INIT                                                                                \
    {                                                                                              \
        .request_seconds = 30, .max_request = SERVER_HEAD_LONGEST,                                 \
        .idle_seconds = SAFETY_IDLE_SECONDS, .drain_seconds = 30                                   \
    }

extern const struct option_spec safety_options[];

/* Does nothing with an option of another table. */
enum espimage_code safety_option(struct safety *safety, enum option_id id, const char *value,
                                 struct espimage_error *err);

/* `safety` must outlive the server. */
void safety_apply(const struct safety *safety, struct server_options *options);
/* How the server is limited and protected; on stdout. */
void safety_print(const struct server_facts *facts);
/* What is unwise about it; on stderr. */
void safety_warn(const struct safety *safety, const struct server_facts *facts);

#endif
