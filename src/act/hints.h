/* hints.h - what a program is told about its limit by the environment, where it would not see it.
 *
 * GOMEMLIMIT (Go 1.19 and later) 0.90 of the cap; NODE_OPTIONS --max-old-space-size;
 * MALLOC_ARENA_MAX against glibc's arena a thread; JAVA_TOOL_OPTIONS only for a JVM whose version
 * does not see this machine's kind of cgroup. A variable that is set already, be it empty, is never
 * touched. Nothing is executed to find out.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "kern/cgfs.h"

enum { HINTS_MAX = 16 };

struct hint {
    const char *name; /* of the variable */
    char *value;      /* malloc'ed */
    const char *why;  /* a few words: "90 % of the cap, for Go" */
    bool kept;        /* the variable was set already: value is what it was, nothing is changed */
};

struct hints {
    struct hint hint[HINTS_MAX];
    size_t n;
};

struct hints_input {
    uint64_t cap;            /* bytes; 0: unlimited, and there is nothing to hint */
    enum cg_version version; /* of the memory controller */
    char *const *env;        /* as inherited */
    char *const *argv;       /* the command; argv[0] is looked up in PATH of env */
};

/* Fills *out. Reads the `release` file of a JVM that the command, JAVA_HOME or PATH lead to, and
 * nothing else. 0 or -ENOMEM. */
int hints_find(const struct hints_input *in, struct hints *out);
void hints_done(struct hints *h);

/* The parts, for tests. A version as the release file has it ("1.8.0_121", "11.0.15", "17"): */
struct java_version {
    unsigned feature, interim, update;
};                                                                  /* 1.8.0_121 is 8, 0, 121 */
int hints_parse_java(struct str version, struct java_version *out); /* 0 or -EBADMSG */
bool hints_java_sees(const struct java_version *v, enum cg_version version);

struct java_release {
    struct java_version version;
    bool openj9; /* its flags are its own */
};

/* A release file: lines KEY="VALUE". 0, or -EBADMSG when it does not tell the version. */
int hints_parse_release(struct str text, struct java_release *out);

/* What such a JVM is told, appended. */
void hints_add_java(const struct java_release *java, uint64_t cap, struct buf *out);

/* What a variable is set to in env, which may be NULL; NULL: it is not set. */
const char *hints_variable(char *const *env, const char *name);

/* env with the hints that are not `kept`, and the pairs given (name, value, ..., NULL; may be NULL
 * itself), as a new NULL-terminated array whose strings are borrowed or live in *storage. Every
 * variable of that name is replaced; a pair goes before a hint. Both are the caller's to free; NULL
 * when out of memory. */
char **hints_environment(char *const *env, const struct hints *h, const char *const *pairs,
                         char **storage);
