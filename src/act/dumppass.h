/* dumppass.h - goes through the processes of a dump in a child; where it gets stuck it is ended,
 * and the next child goes on behind that process.
 *
 * The child writes files by itself, through the folders' descriptors; what it found out comes
 * through a pipe, record by record, so that nothing is lost of what was had before it got stuck.
 */
#pragma once
#include "act/dumpint.h"

struct dump_pass {
    /* In the child: looks at one process, fills the row. */
    void (*look)(struct dump *d, struct dump_row *row);
    const char *part; /* what is missed when no child can be had or time is up */
    size_t rows;      /* the first so many; those that are gone are left out */
    int64_t stall_us; /* so long without a word is stuck */
    unsigned stalls;  /* after so many it is given up */
    bool
        here; /* without a child it is done in this process: nothing of it can get stuck for long */
};

void dump_pass_run(struct dump *d, const struct dump_pass *pass);

/* In look(): what is begun now, for the words when it gets stuck. Literals. */
void dump_pass_part(const char *part);
/* In look(): a thread that waits. */
void dump_pass_task(struct dump *d, const struct dump_task *task);
