/* loop.h - an event loop a reader can hold in the head: descriptors, one timer a source, signals.
 *
 * One thread. Handlers never block. The clock is read once a turn: code asks the loop. Knows
 * nothing of memory.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct loop;

/* What happened: EPOLLIN, EPOLLPRI, ... for a descriptor; the number of expirations for a timer;
 * the signal's number for a signal. A negative result ends loop_run with it. */
typedef int loop_handler(struct loop *loop, uint32_t what, void *ctx);

int loop_new(struct loop **out); /* 0 or -errno */
void loop_free(struct loop *loop);

/* Watches a descriptor that stays the caller's; `events` as for epoll. *id_out, which may be NULL,
 * is for loop_remove. 0 or -errno. */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_handler *handler, void *ctx,
                uint32_t *id_out);

/* Calls first after first_us, then every `every_us` (0: once, and then it is removed by itself: its
 * id means nothing any more), paced by the monotonic clock: a late turn does not shift the next
 * one. Expirations missed meanwhile are counted, not repeated. */
int loop_add_timer(struct loop *loop, int64_t first_us, int64_t every_us, loop_handler *handler,
                   void *ctx, uint32_t *id_out);

/* Blocks the signal's usual effect and hands it to the handler. It is unblocked in loop_free. */
int loop_add_signal(struct loop *loop, int signal, loop_handler *handler, void *ctx,
                    uint32_t *id_out);

/* From a handler too, also its own. */
void loop_remove(struct loop *loop, uint32_t id);

/* The monotonic clock as of this turn, in microseconds. */
int64_t loop_now_us(const struct loop *loop);

/* Runs until loop_stop or until a handler fails. 0 or that error. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* For a loop inside of another: a descriptor that polls readable when there is something to do, and
 * one turn that does what there is to do without waiting. 0 or the error of a handler. */
int loop_fd(const struct loop *loop);
int loop_turn(struct loop *loop);
