/* psview.h - what `plimsoll ps` prints: its columns, their order, the sum and what it means. */
#pragma once
#include "base/json.h"
#include "base/table.h"
#include "cmd/cmd.h"
#include "kern/passwd.h"
#include "sampler/procs.h"

enum { PSVIEW_COLUMNS_MAX = 40 };

/* Which columns in which order: indices into the table of all columns. */
struct psview_columns {
    unsigned char column[PSVIEW_COLUMNS_MAX];
    size_t n;
};

struct psview_sort {
    unsigned char column;
    bool reverse;
};

/* The group whose processes are shown, if they are a group's. */
struct psview_group {
    bool have;       /* there is one, and its usage is known */
    struct str name; /* path or container name, raw */
    uint64_t usage, used;
    uint64_t cache, shmem, kernel; /* what of it no process need map; with the bits below */
    bool have_used, have_cache, have_shmem, have_kernel;
};

struct psview {
    const struct procs *procs;
    const struct passwd *users;
    struct psview_columns columns;
    struct psview_sort sort;
    struct psview_group group;
    bool whole_machine;
    uint64_t machine_used; /* MemTotal - MemAvailable; 0: not known */
    bool plain, ascii;
    bool past;            /* as it was recorded */
    size_t width, height; /* of the terminal; 0 = no limit */
};

/* The contract's columns. */
void psview_default_columns(struct psview_columns *out);

/* "pid,res,command" in any case; -EINVAL with a text that names the known ones. */
int psview_parse_columns(struct str text, struct psview_columns *out, struct err *err);

/* "res", "-res"; the same. */
int psview_parse_sort(struct str text, struct psview_sort *out, struct err *err);

/* PROC_BITs that the columns and the order need. */
uint32_t psview_want(const struct psview_columns *columns, const struct psview_sort *sort);
uint32_t psview_want_json(void);

/* Each tick. 0 or -ENOMEM. */
int psview_print_text(const struct psview *v, struct buf *out);
int psview_print_json(const struct psview *v, int64_t at_ms, struct buf *out);
