/* topproc.h - a row of processes for the screen of `plimsoll top`.
 */
#pragma once
#include "sampler/procs.h"
#include "tui/source.h"

/* Its texts point into p. */
void topproc_take(const struct procs *p, const struct proc_row *row, struct tui_process *out);
