/* sender.h - brings a request to its remote over HTTP, and tells what is to be done with it then.
 *
 * Blocks at most for the timeout. No redirect is followed, no proxy is asked, of an answer at most
 * 64 KiB are read. One thread each.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct sender_options {
    const char *url;
    int64_t timeout_ms;
    const char *token;               /* NULL: none. So are these: */
    const char *username, *password; /* together */
    struct str ca;                   /* certificates in PEM; empty: the system's */
    int stop;                        /* a descriptor: readable when all is to end */
};

struct sender;

/* Once, before there are threads. 0 or -ENOMEM. */
int sender_global_init(void);

int sender_new(const struct sender_options *options, struct sender **out, struct err *err);
void sender_free(struct sender *s);

enum sender_result {
    SENDER_SENT,
    SENDER_AGAIN, /* not now: the network, 5xx, 429 */
    SENDER_DROP,  /* never: the remote does not want it */
    SENDER_STOP,
};

/* `err` is filled but with SENDER_SENT. *after_ms_out: how long the remote asks to wait, or 0. */
enum sender_result sender_post(struct sender *s, struct str body, int64_t *after_ms_out,
                               struct err *err);

/* How long to wait after so many failures in a row (1 and more): a second, doubled up to a minute,
 * and of that between a half and all, by a random number; as long as the remote asks for, at most
 * ten minutes. */
int64_t sender_wait_ms(unsigned failures, int64_t after_ms, uint32_t random);

/* Waits. False: `stop` has become readable. */
bool sender_wait(int stop, int64_t ms);
