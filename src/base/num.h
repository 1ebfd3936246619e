/* num.h - sizes, percentages and durations as people write and read them. */
#pragma once
#include "base/buf.h"

/* `60M`, `1.5G`, `512MiB`, `64kb`, plain bytes: K/M/G/T/P are powers of 1024, as Docker has it,
 * case does not matter, `B` and `iB` may follow. 0; -EBADMSG when it is not a size; -ERANGE above
 * 2^63-1. */
int num_parse_size(struct str s, uint64_t *bytes_out);

/* `0.5`, `2`, `1.5s`, `200ms`, `5m`, `1h`, `30d`, `2w`, `1y` (365 days): milliseconds, rounded
 * down. -EBADMSG, -ERANGE. */
int num_parse_ms(struct str s, uint64_t *ms_out);

/* Bytes for people, IEC units: three significant digits and at most 6 columns: `0B`, `999B`,
 * `1.50K`, `60.0M`, `1023M`, `23.5G`. */
void num_add_iec(struct buf *b, uint64_t bytes);

/* The same as Docker writes it: `0B`, `5.629MiB`, `1.952GiB` (four significant digits, trailing
 * zeros dropped), and SI for I/O: `0B`, `2.48kB`, `13.6MB` (three). */
void num_add_docker_iec(struct buf *b, uint64_t bytes);
void num_add_docker_si(struct buf *b, uint64_t bytes);

/* hundredths as `12.34`, rounded nowhere: 1234 -> "12.34". `decimals` 0 to 2. */
void num_add_centi(struct buf *b, uint64_t hundredths, unsigned decimals);

/* part * 10000 / whole, rounded to nearest, saturating: percent in hundredths. whole > 0. */
uint64_t num_centi_pct(uint64_t part, uint64_t whole);
