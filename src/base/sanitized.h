/* sanitized.h - whether this is a build with AddressSanitizer, whose own memory is terabytes of
 * address space: no limit on it fits, and it cannot be locked.
 */
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif
