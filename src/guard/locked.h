/* locked.h - our memory held so that nothing on the way from an event to an action needs a page.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

/* Locks all that we have and will have, with room on the stack. Not done under sanitizers. 0 or
 * -errno with a text. */
int locked_all(struct err *err);

/* After a fork each page is shared until one of both writes to it, and needs a page then: makes all
 * of ours our own again, at once. Reads /proc/self/maps; allocates nothing. Does nothing unless
 * locked_all was done. */
void locked_again(void);

/* Memory kept for the moment in which our own group is full, and opening a file fails: given back
 * by locked_spend, once; false: there is none. Taken again by locked_save, when it can be had;
 * that may wait for the kernel to reclaim: only when there is room for it. None
 * is kept unless locked_all was done. */
bool locked_spend(void);
void locked_save(void);
