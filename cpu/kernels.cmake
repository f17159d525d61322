# Instruction sets are a property of single files, by their names; which of them run is decided at start
# (cpu/cpu_features.cpp). Nothing in a *_avx*.cpp may be an inline function with external linkage: the linker could
# keep the copy that old processors cannot run.
set(kernel_optimization -O3)
if(TROUPE_SANITIZE)
  set(kernel_optimization -O1)  # -O3 takes gcc an hour on what the sanitizers have put between the instructions
endif()
file(GLOB portable_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cpu/*_portable.cpp)
set_source_files_properties(${portable_kernels} PROPERTIES COMPILE_OPTIONS ${kernel_optimization})
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(avx512_options ${kernel_optimization} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # gcc 12 warns of its own intrinsics' "undefined" operands (PR 105593)
    list(APPEND avx512_options -Wno-maybe-uninitialized -Wno-uninitialized)
  endif()
  file(GLOB avx2_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cpu/*_avx2.cpp)
  set_source_files_properties(${avx2_kernels} PROPERTIES COMPILE_OPTIONS "${kernel_optimization};-mavx2;-mfma;-mf16c")
  file(GLOB avxvnni_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cpu/*_avxvnni.cpp)
  set_source_files_properties(${avxvnni_kernels} PROPERTIES COMPILE_OPTIONS "${kernel_optimization};-mavx2;-mavxvnni;-mfma;-mf16c")
  file(GLOB avx512_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cpu/*_avx512.cpp)
  set_source_files_properties(${avx512_kernels} PROPERTIES COMPILE_OPTIONS "${avx512_options}")
endif()
