/* topsource_live.h - `plimsoll top` without an agent: straight from the kernel's files.
 *
 * Containers, services and runs, as the agent watches them. What was is known since the start only:
 * charts (tophistory.h) and events (toplog.h).
 */
#pragma once
#include "tui/source.h"

struct topsource_live;

/* root: as --root, NULL is this machine. interval_us: how often it will be asked. 0 or -errno with
 * a text. */
int topsource_live_new(const char *root, int64_t interval_us, struct topsource_live **out,
                       struct err *err);
void topsource_live_free(struct topsource_live *s);

/* Valid as long as s is. */
struct tui_source topsource_live_source(struct topsource_live *s);
