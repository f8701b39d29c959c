# SPDX-License-Identifier: MIT
# embed(OUTPUT HEADER NAME=FILE...): OUTPUT, a C source that defines for each NAME what HEADER
# declares, `extern const char NAME[]`: the file's bytes and a NUL.
set(embed_script ${CMAKE_CURRENT_LIST_DIR}/embed_files.cmake)

function(embed output header)
  foreach(pair IN LISTS ARGN)
    string(REGEX REPLACE "^[^=]*=" "" file ${pair})
    list(APPEND files ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  string(REPLACE ";" "," pairs "${ARGN}")
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DHEADER=${header} -DPAIRS=${pairs}
            -P ${embed_script}
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
    DEPENDS ${files} ${embed_script} VERBATIM)
endfunction()
