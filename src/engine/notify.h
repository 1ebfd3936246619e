/* notify.h - tells systemd that the service runs: the datagram protocol of sd_notify(3).
 *
 * Twenty lines instead of a library: nine shared objects more in a process that shall be small.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Reads NOTIFY_SOCKET and WATCHDOG_USEC; without them everything here does nothing. */
void notify_open(void);

/* "READY=1", "STATUS=...", "WATCHDOG=1", "STOPPING=1", lines separated by newlines. */
void notify_say(const char *state);

/* How often WATCHDOG=1 is due, in microseconds; 0: never. */
int64_t notify_watchdog_us(void);
