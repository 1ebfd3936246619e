/* elfint.h - what the files of elf share. */
#pragma once
#include <elf.h>

#include "runtime/elf.h"

/* At an offset of the file, whole or not at all: 0; -EBADMSG beyond its end; -errno. */
int elf_read_at(const struct elf *e, uint64_t at, void *out, size_t n);

int elf_program_header(const struct elf *e, unsigned i, Elf64_Phdr *out);

/* Whether the NUL-terminated text at an offset is exactly this one. 0 or -errno. */
int elf_text_is(const struct elf *e, uint64_t at, const char *text, bool *out);
