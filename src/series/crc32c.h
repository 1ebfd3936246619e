/* crc32c.h - CRC-32C (Castagnoli, polynomial 0x1edc6f41, reflected), with the processor's own
 * instruction where it has one.
 */
#pragma once
#include "base/str.h"

/* Of the text; `before` is the result for what stood before it, or 0. */
uint32_t crc32c(uint32_t before, struct str text);

/* The same without the instruction: what other processors use, and what the test compares. */
uint32_t crc32c_plain(uint32_t before, struct str text);
