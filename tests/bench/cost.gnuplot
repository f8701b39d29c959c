# SPDX-License-Identifier: MIT
# Draws cost.svg of cost.tsv, for bench/cost, which sets `about`.
set terminal svg size 1000,470 font "sans-serif,14" background "white"
set output "cost.svg"
set datafile separator tab
set datafile missing NaN
serve = "#0b5fa5"
nginx = "#c2560c"
note = "#555555"
figure(series, server, name) = \
    strcol("series") eq series && strcol("server") eq server ? column(name) : NaN

set multiplot layout 1,2 title "What serving costs, beside nginx: ".about font ",17"
set logscale xy
set xrange [0.8:12000]
set xtics ("1" 1, "10" 10, "100" 100, "1,000" 1000, "10,000" 10000)
set xlabel "devices at once"
set border 3
set tics nomirror out
set grid xtics ytics linetype 1 linecolor rgb "#e4e4e4" linewidth 0.7
set rmargin 4
unset key
set style data linespoints
set style line 1 linecolor rgb serve linewidth 2.2 pointtype 7 pointsize 0.5
set style line 2 linecolor rgb nginx linewidth 2.2 pointtype 7 pointsize 0.5
set style line 3 linecolor rgb serve linewidth 1.6 pointtype 7 pointsize 0.4 dashtype (6,4)
set style line 4 linecolor rgb nginx linewidth 1.6 pointtype 7 pointsize 0.4 dashtype (6,4)

set title "Memory, each device at up to 60 KB/s"
set ylabel "MiB"
set yrange [1:5000]
set ytics ("1" 1, "10" 10, "100" 100, "1,000" 1000)
set label "nginx, its processes" at 1.1,29 textcolor rgb nginx
set label "serve, the process" at 1.1,3 textcolor rgb serve
set label "dashed: what the kernel\nholds for all sockets, the\ndevices' ends too" at 1.1,2200 \
    textcolor rgb note
# Of fewer devices it is less than what the kernel counts in, and other programs have some.
kernel(server) = column("devices") >= 100 ? figure("growing", server, "kernel_mib") : NaN
plot "cost.tsv" using "devices":(kernel("serve")) linestyle 3, \
    "" using "devices":(kernel("nginx")) linestyle 4, \
    "" using "devices":(figure("growing", "serve", "process_mib")) linestyle 1, \
    "" using "devices":(figure("growing", "nginx", "process_mib")) linestyle 2

unset label
set title "Processor time for a gigabyte delivered"
set ylabel "seconds"
set yrange [0.1:5]
set ytics ("0.1" 0.1, "0.2" 0.2, "0.5" 0.5, "1" 1, "2" 2, "5" 5)
set label "serve" at 2,1.6 textcolor rgb serve
set label "nginx" at 1.1,0.28 textcolor rgb nginx
set label "dashed: one download a device, at up to 60 KB/s" at 12000,4 right textcolor rgb note
set label "solid: 10,000 downloads in ten seconds" at 12000,3.1 right textcolor rgb note
plot "cost.tsv" using "devices":(figure("growing", "serve", "s_per_gb")) linestyle 3, \
    "" using "devices":(figure("growing", "nginx", "s_per_gb")) linestyle 4, \
    "" using "devices":(figure("same", "serve", "s_per_gb")) linestyle 1, \
    "" using "devices":(figure("same", "nginx", "s_per_gb")) linestyle 2
unset multiplot
