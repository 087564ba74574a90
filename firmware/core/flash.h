/* Constants that stay in flash. AVR has separate address spaces for flash and RAM: what is not marked there is
 * copied into its 8 KiB of RAM at boot. */
#ifndef LSM_FLASH_H
#define LSM_FLASH_H

#if defined(__AVR__)
#define LSM_FLASH __flash
#define LSM_TEXT(words)                             \
    (__extension__({                                \
        static const LSM_FLASH char kept[] = words; \
        (const LSM_FLASH char *)kept;               \
    }))
#else
#define LSM_FLASH
#define LSM_TEXT(words) (words)
#endif

#endif
