/* CRC-32C (Castagnoli polynomial 0x1edc6f41, reflected; RFC 3720), the checksum of records. */
#ifndef TW_CORE_CRC32C_H
#define TW_CORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues a checksum: crc is that of all preceding bytes (0: none). Uses carry-less multiplication (VPCLMULQDQ), the CRC instruction
 * (SSE4.2) or tables, the first that the processor has; the value is the same. Thread-safe. */
uint32_t tw_crc32c(uint32_t crc, const void *data, size_t n);

/* The same by tables only: the reference for tests. */
uint32_t tw_crc32c_portable(uint32_t crc, const void *data, size_t n);

#endif
