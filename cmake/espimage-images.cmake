# SPDX-License-Identifier: MIT
# espimage_add_images(TARGET firmware... [MAP 1MB] [OUTPUT_DIRECTORY folder] [OPTIONS option...])
# makes the images of firmware's ELFs, executables of this project, whenever one is linked anew:
# FIRMWARE-user1.bin, and so on, as `espimagetool convert --out-dir` names them.
#
# MAP: the flash map, a name that `espimagetool maps` lists; by default the link addresses decide.
# OPTIONS: further options of `espimagetool convert`, such as --flash-mode dio.
# OUTPUT_DIRECTORY: where the images go; by default the current binary folder.
# Adds the target FIRMWARE_images, part of `all`; of several targets the first names it.
function(espimage_add_images)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "MAP;OUTPUT_DIRECTORY" "TARGET;OPTIONS")
  if(NOT arg_TARGET OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "espimage_add_images(TARGET firmware... [MAP map] "
      "[OUTPUT_DIRECTORY folder] [OPTIONS option...]): ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(arg_MAP)
    list(PREPEND arg_OPTIONS --flash-size ${arg_MAP})
  endif()
  if(NOT arg_OUTPUT_DIRECTORY)
    set(arg_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  endif()
  list(GET arg_TARGET 0 name)
  foreach(target IN LISTS arg_TARGET)
    list(APPEND elfs $<TARGET_FILE:${target}>)
  endforeach()
  set(stamp ${CMAKE_CURRENT_BINARY_DIR}/${name}_images.stamp)
  add_custom_command(OUTPUT ${stamp}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${arg_OUTPUT_DIRECTORY}
    COMMAND espimage::espimagetool convert ${arg_OPTIONS} --out-dir ${arg_OUTPUT_DIRECTORY} ${elfs}
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
    DEPENDS ${arg_TARGET} COMMENT "Images of ${name}" VERBATIM)
  add_custom_target(${name}_images ALL DEPENDS ${stamp})
endfunction()
