# add_text_header(OUTPUT NAME FILE): a header with the text of a file as `static const char NAME[]`. Character
# constants, for an octet beyond ASCII as a number does not fit into a char everywhere.
function(add_text_header output name file)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "(..)" "'\\\\x\\1'," octets "${hex}")
    string(REPLACE "'\\x0a'," "'\\x0a',\n    " octets "${octets}")
    file(CONFIGURE OUTPUT ${output} CONTENT "static const char ${name}[] = {\n    ${octets}'\\0'};\n" @ONLY)
endfunction()
