/* SPDX-License-Identifier: MIT */
#include "cli/serve_safety.h"

#include "base/error.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct option_spec safety_options[] = {
    {OPT_ALLOW, "allow", NULL, 0, "NETWORK", NULL, "answer this network only; may be given often"},
    {OPT_HOST, "host", NULL, 0, "NAME", NULL,
     "a name of this computer in URLs; may be given often"},
    {OPT_PATH_TOKEN, "path-token", NULL, 0, "TOKEN", NULL, "answer paths below /TOKEN/ only"},
    {OPT_MAX_CONNECTIONS, "max-connections", NULL, 0, "N", NULL,
     "at once (default: what the system allows)"},
    {OPT_MAX_PER_ADDRESS, "max-per-address", NULL, 0, "N", NULL,
     "of one address (default: half, up to 4096)"},
    {OPT_MAX_RATE, "max-rate", NULL, 0, "N", NULL,
     "requests a second of one address (default: any)"},
    {OPT_MAX_REQUEST, "max-request", NULL, 0, "BYTES", NULL, "of a request (default 16384)"},
    {OPT_REQUEST_TIMEOUT, "request-timeout", NULL, 0, "SECONDS", NULL,
     "for a request to be whole (default 30)"},
    {OPT_IDLE_TIMEOUT, "idle-timeout", NULL, 0, "SECONDS", NULL,
     "for a download without progress (default 120)"},
    {OPT_DRAIN, "drain", NULL, 0, "SECONDS", NULL,
     "that downloads get when serve is ended (default 30)"},
    {OPT_NO_SANDBOX, "no-sandbox", NULL, 0, NULL, NULL, "keep all rights of the process"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

static enum espimage_code add_network(struct safety *safety, const char *value,
                                      struct espimage_error *err)
{
    if (safety->allow_count == ALLOWED_NETWORKS) {
        error_found(err, ESPIMAGE_ERR_USAGE, "more than %d networks", ALLOWED_NETWORKS);
        return error_advice(err, "take larger ones");
    }
    safety->allow[safety->allow_count++] = value;
    return ESPIMAGE_OK;
}

static enum espimage_code add_host(struct safety *safety, const char *value,
                                   struct espimage_error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    if (value[0] == '\0' || strspn(value, plain) != strlen(value)) {
        error_found(err, ESPIMAGE_ERR_USAGE, "--host: '%s' is not a host name", value);
        return error_wanted(err, "a name without a port, such as build-server.example");
    }
    if (safety->host_count == SERVER_HOSTS) {
        return error_found(err, ESPIMAGE_ERR_USAGE, "--host: more than %d names", SERVER_HOSTS);
    }
    safety->hosts[safety->host_count++] = value;
    return ESPIMAGE_OK;
}

enum espimage_code safety_option(struct safety *safety, enum option_id id, const char *value,
                                 struct espimage_error *err)
{
    switch (id) {
    case OPT_ALLOW: return add_network(safety, value, err);
    case OPT_HOST: return add_host(safety, value, err);
    case OPT_PATH_TOKEN: safety->path_token = value; return ESPIMAGE_OK;
    case OPT_NO_SANDBOX: safety->no_sandbox = true; return ESPIMAGE_OK;
    case OPT_MAX_CONNECTIONS:
        return number_option(value, 1, 1048576, &safety->max_connections, err);
    case OPT_MAX_PER_ADDRESS:
        return number_option(value, 1, 1048576, &safety->max_per_address, err);
    case OPT_MAX_RATE: return number_option(value, 1, 1000000, &safety->max_rate, err);
    case OPT_MAX_REQUEST:
        return number_option(value, SAFETY_LEAST_REQUEST, SERVER_HEAD_LONGEST, &safety->max_request,
                             err);
    case OPT_REQUEST_TIMEOUT: return number_option(value, 1, 3600, &safety->request_seconds, err);
    case OPT_IDLE_TIMEOUT:
        return number_option(value, SAFETY_IDLE_SECONDS, 86400, &safety->idle_seconds, err);
    case OPT_DRAIN: return number_option(value, 0, 86400, &safety->drain_seconds, err);
    default: return ESPIMAGE_OK;
    }
}

void safety_apply(const struct safety *safety, struct server_options *options)
{
    options->connections = safety->max_connections;
    options->address_connections = safety->max_per_address;
    options->rate = safety->max_rate;
    options->head_seconds = safety->request_seconds;
    options->head_size = safety->max_request;
    options->idle_seconds = safety->idle_seconds;
    options->allow = safety->allow;
    options->allow_count = safety->allow_count;
    options->hosts = safety->hosts;
    options->host_count = safety->host_count;
    options->path_token = safety->path_token;
    options->no_sandbox = safety->no_sandbox;
}

void safety_print(const struct server_facts *facts)
{
    (void)printf("Limits: %u connections, %u of one address\n", facts->connections,
                 facts->address_connections);
    (void)printf("Protection: %s\n", facts->protection);
}

void safety_warn(const struct safety *safety, const struct server_facts *facts)
{
    if (facts->connections < safety->max_connections) {
        (void)fprintf(stderr,
                      PROGRAM ": warning: --max-connections %u: descriptors suffice for %u; see: "
                              "ulimit -Hn\n",
                      safety->max_connections, facts->connections);
    }
    if (facts->exposed && geteuid() == 0 && safety->allow_count == 0) {
        (void)fprintf(stderr, PROGRAM ": warning: this is root, and networks that are not private "
                                      "reach it; use another user, --bind or --allow\n");
    }
}
