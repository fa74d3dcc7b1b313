# The flags for our own code: sanitizers where asked for, hardening in releases, each as far as the compiler knows it. Warnings are
# errors in the project's own presets alone: a newer compiler must not stop those who package it.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckPIESupported)

set(PROJECT_WERROR OFF CACHE BOOL "warnings are errors")

# Generated code does not link this target.
add_library(project_flags INTERFACE)
target_compile_definitions(project_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64 _TIME_BITS=64) # files and times on 32 bits
target_compile_options(project_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion $<$<BOOL:${PROJECT_WERROR}>:-Werror>)

check_pie_supported(LANGUAGES C) # from here on -pie goes to executables, and to them alone
add_compile_options(-fno-omit-frame-pointer)
if(SANITIZE)
    add_compile_options(-fsanitize=${SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection -mbranch-protection=standard)
        string(MAKE_C_IDENTIFIER "HAS${flag}" known)
        check_c_compiler_flag(${flag} ${known})
        if(${known})
            add_compile_options(${flag})
        endif()
    endforeach()
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    add_link_options(-Wl,-z,relro,-z,now)
endif()

# Where the processor has no atomics of 64 bits, a library has them.
set(atomics "#include <stdatomic.h>\n#include <stdint.h>\n_Atomic uint64_t n;\nint main(void) { return (int)atomic_fetch_add(&n, 1); }\n")
check_c_source_compiles("${atomics}" ATOMICS_ARE_BUILT_IN)
set(ATOMIC_LIBRARY "")
if(NOT ATOMICS_ARE_BUILT_IN)
    set(CMAKE_REQUIRED_LIBRARIES atomic)
    check_c_source_compiles("${atomics}" ATOMICS_ARE_IN_LIBATOMIC)
    unset(CMAKE_REQUIRED_LIBRARIES)
    if(NOT ATOMICS_ARE_IN_LIBATOMIC)
        message(FATAL_ERROR "neither the compiler nor libatomic has atomics of 64 bits")
    endif()
    set(ATOMIC_LIBRARY "-latomic")
    target_link_libraries(project_flags INTERFACE atomic)
endif()
