/* statslang.h - the language runtime of a group's largest process, for `stats --wide`.
 *
 * Looked at anew every few seconds: the processes' sizes and one executable, of which those seen
 * before are remembered.
 */
#pragma once
#include "discover/targets.h"

struct statslang;

/* h and fs are borrowed. 0 or -ENOMEM. */
int statslang_new(const struct host *h, const struct cgfs *fs, struct statslang **out);
void statslang_free(struct statslang *l);

/* "java 17.0.15+6"; empty when there is no process, or it may not be looked into. The text lives
 * until the next call for this slot. */
struct str statslang_of(struct statslang *l, const struct target *t, int64_t now_us);
