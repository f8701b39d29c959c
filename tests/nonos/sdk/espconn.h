/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. Like
 * that one, it includes nothing: c_types.h and ip_addr.h have to come before it. */
#ifndef ESPCONN_H
#define ESPCONN_H

#define ESPCONN_OK 0

typedef void (*espconn_connect_callback)(void *arg);
typedef void (*espconn_recv_callback)(void *arg, char *data, unsigned short length);

enum espconn_type { ESPCONN_INVALID = 0, ESPCONN_TCP = 0x10 };
enum espconn_state { ESPCONN_NONE };

typedef struct {
    int remote_port;
    int local_port;
    uint8 local_ip[4];
    uint8 remote_ip[4];
} esp_tcp;

struct espconn {
    enum espconn_type type;
    enum espconn_state state;
    union {
        esp_tcp *tcp;
    } proto;
};

sint8 espconn_accept(struct espconn *on);
sint8 espconn_send(struct espconn *to, uint8 *data, uint16 length);
sint8 espconn_regist_time(struct espconn *of, uint32 seconds, uint8 one_only);
sint8 espconn_regist_connectcb(struct espconn *on, espconn_connect_callback callback);
sint8 espconn_regist_recvcb(struct espconn *on, espconn_recv_callback callback);
ip_addr_t espconn_dns_getserver(uint8 number);

#endif
