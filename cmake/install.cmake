# SPDX-License-Identifier: MIT
# cmake --install: program, server module, library, headers, man pages, completions, and what lets
# others find the library.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/espimage)

# The static library is exported apart: only its users need what it is linked with.
install(TARGETS espimagetool EXPORT espimage RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS espimage_server LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/espimagetool)
install(TARGETS espimage_static EXPORT espimage_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS espimage_shared EXPORT espimage LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/espimage DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

install(EXPORT espimage NAMESPACE espimage:: DESTINATION ${package_dir} FILE espimage-targets.cmake)
install(EXPORT espimage_static NAMESPACE espimage:: DESTINATION ${package_dir}
  FILE espimage-static.cmake)
configure_package_config_file(cmake/espimage-config.cmake.in espimage-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(espimage-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/espimage-config.cmake cmake/espimage-images.cmake
  ${PROJECT_BINARY_DIR}/espimage-config-version.cmake DESTINATION ${package_dir})

# Relative to the prefix where they can be, so that pkg-config can move them.
foreach(dir LIBDIR INCLUDEDIR)
  set(pc_${dir} ${CMAKE_INSTALL_${dir}})
  if(NOT IS_ABSOLUTE "${pc_${dir}}")
    set(pc_${dir} "\${prefix}/${pc_${dir}}")
  endif()
endforeach()
configure_file(cmake/espimage.pc.in espimage.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/espimage.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The program writes its completions, so that they cannot disagree with it. A cross build needs an emulator
# for that.
if(CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
  message(WARNING "No shell completions: the program for ${CMAKE_SYSTEM_PROCESSOR} cannot run here; "
    "set CMAKE_CROSSCOMPILING_EMULATOR, such as to qemu-${CMAKE_SYSTEM_PROCESSOR}")
  set(shells "")
else()
  set(shells bash zsh fish)
endif()
foreach(shell IN LISTS shells)
  set(file ${PROJECT_BINARY_DIR}/completion/${shell}/espimagetool)
  add_custom_command(OUTPUT ${file}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/completion/${shell}
    COMMAND espimagetool completion ${shell} > ${file}
    DEPENDS espimagetool VERBATIM)
  list(APPEND completion_files ${file})
endforeach()
add_custom_target(completions ALL DEPENDS ${completion_files})
if(shells)
  install(FILES ${PROJECT_BINARY_DIR}/completion/bash/espimagetool
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${PROJECT_BINARY_DIR}/completion/zsh/espimagetool
    DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _espimagetool)
  install(FILES ${PROJECT_BINARY_DIR}/completion/fish/espimagetool
    DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME espimagetool.fish)
endif()
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR}
  FILES_MATCHING PATTERN *.md PATTERN *.svg PATTERN *.tsv)

# For a computer that serves updates all the time; see docs/security.md.
option(ESPIMAGE_SYSTEMD "Install the systemd units" OFF)
set(ESPIMAGE_UNIT_DIR lib/systemd/system CACHE STRING "Where the systemd units go")
configure_file(packaging/espimagetool.service.in espimagetool.service @ONLY)
if(ESPIMAGE_SYSTEMD)
  install(FILES ${PROJECT_BINARY_DIR}/espimagetool.service packaging/espimagetool.socket
    DESTINATION ${ESPIMAGE_UNIT_DIR})
endif()
