/* statslang.h - the language runtimes of a group's processes, for `stats --wide`.
 *
 * Looked at anew every few seconds: the processes' sizes, and the executables of the largest, of
 * which those seen before are remembered.
 */
#pragma once
#include "discover/targets.h"

struct statslang;

/* h and fs are borrowed. 0 or -ENOMEM. */
int statslang_new(const struct host *h, const struct cgfs *fs, struct statslang **out);
void statslang_free(struct statslang *l);

/* "java 17.0.15+6, node 20.20.2": those that collect garbage, of the largest process first, each
 * once; without one, what the largest is ("glibc 2.36"). Empty when there is no process, or none
 * may be looked into. The text lives until the next call for this slot. */
struct str statslang_of(struct statslang *l, const struct target *t, int64_t now_us);
