/* pythonlook.h - where the interpreters of a CPython process are, found from outside and checked.
 */
#pragma once
#include "base/err.h"
#include "runtime/pygc.h"
#include "runtime/rtproc.h"

enum { PYTHON_INTERPRETERS = 256, PYTHON_THREADS = 4096, PYTHON_VERSION = 24 };

struct python {
    const struct pylayout *layout;
    uint64_t version; /* as Py_Version has it */
    uint64_t runtime; /* _PyRuntime */
    bool in_library;  /* found in a libpython, else in the executable */
    bool finalizing;  /* it is at its end: nothing may be called */
    unsigned n;       /* interpreters, newest first: the last is the main one */
    uint64_t interpreter[PYTHON_INTERPRETERS];
};

/* Reads with `read`. 0; -EOPNOTSUPP with a text that tells which versions are known; -EAGAIN: not
 * initialised yet; -ENODATA: it is no CPython we know, or what must hold does not; -EPERM, -ESRCH.
 */
int python_look(const struct rtproc *p, struct pygcread *read, struct python *out, struct err *err);

/* The part that reads memory alone: version and runtime of *out are set. */
int python_check(struct pygcread *read, struct python *out, struct err *err);

/* Addresses of what its file exports, several in one pass: found ones get a value. 0 or -errno. */
struct elf_symbol;
int python_symbols(const struct rtproc *p, const struct python *py, struct elf_symbol *symbol,
                   size_t n);

/* The lock that a thread has while it runs Python. */
struct python_gil {
    bool locked;
    uint64_t holder, switches;
};
int python_gil(struct pygcread *read, const struct python *py, struct python_gil *out);

uint64_t python_gc(const struct python *py, unsigned i); /* address of interpreter i's gc */

/* Thread states of all interpreters. The count, at most PYTHON_THREADS of one; -EBADMSG, -errno. */
int python_threads(struct pygcread *read, const struct python *py);

/* "3.11.2". */
void python_version_text(uint64_t version, char *out, size_t size);

/* A pygcread_fn: ctx is a struct rtproc. */
int python_read(void *ctx, uint64_t address, void *out, size_t n);
