/* procfield.h - what is known of a process: the fields of its row, in readers and in records. */
#pragma once

enum proc_field {
    PROC_PPID,
    PROC_UID,
    PROC_COMM,
    PROC_STATE,
    PROC_THREADS,
    PROC_FDS,
    PROC_VIRT, /* sizes are bytes */
    PROC_RES,
    PROC_SHR,
    PROC_DATA,
    PROC_CODE,
    PROC_SWAP,
    PROC_ANON,
    PROC_FILE,
    PROC_SHMEM,
    PROC_PSS,
    PROC_USS,
    PROC_LAZYFREE,
    PROC_OOM_SCORE,
    PROC_START,
    PROC_COMMAND,
    PROC_CGROUP,
    PROC_N,
    PROC_RUNTIME = PROC_N + 1, /* of the language; never recorded */
};

#define PROC_BIT(field) (1U << (field))

/* The sizes and counts of a process under their JSON keys, in the order of `ps --json`. */
struct proc_number {
    const char *key;
    enum proc_field field;
};

enum { PROC_NUMBERS = 14 };

extern const struct proc_number proc_numbers[PROC_NUMBERS];
