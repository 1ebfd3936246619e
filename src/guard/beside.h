/* beside.h - work that takes a while, done by a child that nobody waits for.
 *
 * A copy of our thousands of descriptors would take longer than most of what it is for, and one
 * that is shared would see ours closed and their numbers given to others. So the child has a few
 * of them, and nothing else: it can neither touch what we open later nor keep anything open when
 * we end.
 */
#pragma once

enum { BESIDE_FDS = 9 };

/* work(ctx, fd) in a child with a copy of our memory, whose fd[n] are the same open files as ours
 * under numbers of its own. Returns once it stands by itself. 0; -errno: nothing was begun. From
 * one thread only. Allocates nothing. */
int beside_run(const int *fd, unsigned n, void (*work)(void *ctx, const int *fd), void *ctx);
