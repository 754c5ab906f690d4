/* CRC-32C (Castagnoli polynomial 0x1edc6f41, reflected; RFC 3720), the checksum of records. */
#ifndef TW_CORE_CRC32C_H
#define TW_CORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what gave `crc` (0: nothing yet) followed by these n bytes. By carry-less products (VPCLMULQDQ),
 * the processor's own instruction (SSE4.2) or tables, whichever it has; the value is the same. Thread-safe. */
uint32_t tw_crc32c(uint32_t crc, const void *data, size_t n);

/* By tables on any machine: what the other is tested against. */
uint32_t tw_crc32c_portable(uint32_t crc, const void *data, size_t n);

#endif
