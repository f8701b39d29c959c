# SPDX-License-Identifier: MIT
# project_target(TARGET): the language, warnings and instruments that every target here has.
function(project_target target)
  target_compile_features(${target} PRIVATE c_std_17)
  set_target_properties(${target} PROPERTIES
    C_EXTENSIONS OFF C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  # Files above 2 GB and times after 2038 on 32-bit hosts too; without effect on others.
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE _FILE_OFFSET_BITS=64 _TIME_BITS=64)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 -Wundef -Wcast-qual
    -Wwrite-strings -Wno-missing-field-initializers
    $<$<BOOL:${ESPIMAGE_WERROR}>:-Werror>)
  if(ESPIMAGE_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=${ESPIMAGE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${ESPIMAGE_SANITIZE})
  endif()
  if(ESPIMAGE_COVERAGE)
    target_compile_options(${target} PRIVATE --coverage -fprofile-update=atomic)
    target_link_options(${target} PRIVATE --coverage)
  endif()
  if(ESPIMAGE_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()
